// Keeps a peer connected to the others of its network: dials, at the addresses that they have signed or tell on the local network, those that
// are not connected, as often as makes sense.
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../ports.ts'
import { type Address, readPeerAddress } from './addresses.ts'
import { pause, STEADY_MILLIS } from './redial.ts'

/** Connections sought; beyond it others still come to us. */
const CONNECTIONS = 32
/** Dials at a time: a newcomer to a network of hundreds does not begin with hundreds of handshakes. */
const DIALS = 8
/** The same while nobody is connected and as many have been dialled in vain: perhaps one of a thousand is where it was. */
const DIALS_ALONE = 32
/** Peers met on the local network and kept at a time: anyone there can name any number. */
const NEARBY = 64
/** Failures in a row after which one of those is forgotten; it is heard of again when it answers the next question. */
const NEARBY_FAILURES = 3
/** Milliseconds between looks for someone to dial, and the least and the most before the same one is dialled again. */
const LOOK_MILLIS = 500
const FIRST_RETRY = 1000
const LONGEST_RETRY = 300_000
/** Two that learn of each other at once would both dial: the one with the larger id waits this long for the other. */
const YIELD_MILLIS = 300

export interface DiscoveryParts {
  self: PeerId
  clock: Clock
  random: () => number
  signal: AbortSignal
  /** All connected peers. */
  connections(): PeerId[]
  /** Rejects where none of the addresses answers as that peer. */
  dial(peer: PeerId, addresses: readonly Address[], signal: AbortSignal): Promise<unknown>
}

export interface Discovery {
  /** What a member has signed; empty: it is not sought any more. */
  learn(peer: PeerId, addresses: readonly string[]): void
  /** What was heard on the local network: an unproven claim, tried a few times. */
  meet(peer: PeerId, addresses: readonly string[]): void
  /**
   * Dials a member that is to be asked for something: in a network of hundreds most are not connected. Resolves when it is, or cannot be; one
   * that was dialled in vain just now is not dialled again.
   */
  reach(peer: PeerId): Promise<void>
  /** Begins to dial, until the signal is aborted. */
  start(): void
}

interface Mate {
  addresses: Address[]
  /** A member; others are forgotten when they do not answer. */
  member: boolean
  failures: number
  /** Since when it is connected, on the clock, as far as was seen. */
  since?: number
  /** When it may be dialled next, on the clock. */
  nextAt: number
  dialling: boolean
}

export function createDiscovery(parts: DiscoveryParts): Discovery {
  const { self, clock, random, signal } = parts
  const known = new Map<PeerId, Mate>()
  let started = false
  let alone = true

  const jittered = (millis: number) => clock.now() + millis * (0.5 + random() / 2)
  const retryAt = (failures: number) => jittered(Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** failures))
  const usable = (peer: PeerId, texts: readonly string[]): Address[] =>
    texts.slice(0, LIMITS.addresses).flatMap((text) => {
      const address = readPeerAddress(text)
      return address?.peer === peer ? [address] : []
    })

  function note(peer: PeerId, texts: readonly string[], member: boolean): void {
    const addresses = usable(peer, texts)
    const mate = known.get(peer)
    if (addresses.length === 0 || peer === self) {
      if (mate !== undefined && mate.member === member) known.delete(peer)
      return
    }
    const isNews =
      mate === undefined || addresses.some(({ multiaddr }) => !mate.addresses.some((other) => other.multiaddr.equals(multiaddr)))
    if (mate !== undefined && !isNews) {
      mate.member ||= member
      return
    }
    const nextAt = clock.now() + (self > peer ? YIELD_MILLIS * (0.5 + random()) : 0)
    known.set(peer, { addresses, member, failures: 0, nextAt, dialling: mate?.dialling ?? false })
  }

  /** Whoever was cut off from everyone knows nothing about who can be reached now. */
  function onReconnected(connected: ReadonlySet<PeerId>): void {
    for (const [peer, mate] of known) {
      // The one that is there now may be one that lets nobody stay.
      if (connected.has(peer)) continue
      mate.failures = 0
      mate.nextAt = Math.min(mate.nextAt, jittered(FIRST_RETRY))
    }
  }

  /** When it is lost, it gets a moment to come back by itself; one that does not let this peer stay gets ever more. */
  function onLost(mate: Mate, since: number): void {
    delete mate.since
    mate.failures = clock.now() - since < STEADY_MILLIS ? mate.failures + 1 : 0
    mate.nextAt = retryAt(Math.max(1, mate.failures))
  }

  function dialDue(): void {
    const connected = new Set(parts.connections())
    if (alone && connected.size > 0) onReconnected(connected)
    alone = connected.size === 0
    const due: [PeerId, Mate][] = []
    let dialling = 0
    let failed = 0
    for (const [peer, mate] of known) {
      if (mate.failures > 0) failed++
      if (connected.has(peer)) mate.since ??= clock.now()
      else if (mate.since !== undefined) onLost(mate, mate.since)
      else if (mate.dialling) dialling++
      else if (clock.now() >= mate.nextAt) due.push([peer, mate])
    }
    const most = alone && failed >= DIALS ? DIALS_ALONE : DIALS
    const room = Math.min(most, CONNECTIONS - connected.size) - dialling
    if (room <= 0) return
    // By chance, so that the members of a large network do not all hold the same few; but nobody again while others are untried.
    const order = due.map(([peer, mate]) => ({ peer, mate, at: mate.failures + random() })).sort((a, b) => a.at - b.at)
    for (const { peer, mate } of order.slice(0, room)) void dial(peer, mate)
  }

  async function dial(peer: PeerId, mate: Mate): Promise<void> {
    mate.dialling = true
    try {
      await parts.dial(peer, mate.addresses, signal)
      mate.since ??= clock.now()
    } catch {
      mate.failures++
      mate.nextAt = retryAt(mate.failures)
      if (!mate.member && mate.failures >= NEARBY_FAILURES && known.get(peer) === mate) known.delete(peer)
    } finally {
      mate.dialling = false
      const newer = known.get(peer)
      if (newer !== undefined) newer.dialling = false
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      dialDue()
      await pause(clock, LOOK_MILLIS, signal)
    }
  }

  return {
    learn: (peer, addresses) => {
      if (known.size < LIMITS.members + NEARBY || known.has(peer)) note(peer, addresses, true)
    },
    meet(peer, addresses) {
      const nearby = [...known.values()].filter(({ member }) => !member).length
      if (known.has(peer) || nearby >= NEARBY) return
      note(peer, addresses, false)
    },
    async reach(peer) {
      const mate = known.get(peer)
      if (mate === undefined || !mate.member || mate.dialling || parts.connections().includes(peer)) return
      if (mate.failures === 0 || clock.now() >= mate.nextAt) await dial(peer, mate)
    },
    start() {
      if (started) return
      started = true
      void run()
    },
  }
}
