// How peers that met through one address find all others: each tells those it meets its own addresses and those of the members it knows.
import { z } from 'zod'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, RequestOptions } from '../ports.ts'
import { loopback, readPeerAddress } from './addresses.ts'
import { pause } from './redial.ts'

export const PEERS_PROTOCOL = '/murmuration/peers/1'

/** Addresses in an answer, and of one peer: a public, a local and a loopback one of two kinds. */
const ANSWER_ADDRESSES = 64
const ADDRESSES_OF_ONE = 6
/** Connections sought; beyond it others still come to us. */
const CONNECTIONS = 32
/** Members remembered. Those never reached are dropped first. */
const REMEMBERED = 256
/** Milliseconds after the start at which someone is asked: newcomers meet at once, later asking only repairs. */
const QUICK_ASKS = [300, 1000, 2500]
const ASK_MILLIS = 10_000
/** Milliseconds between looks for members to dial, and the least and the most before the same one is dialled again. */
const DIAL_MILLIS = 500
const FIRST_RETRY = 1000
const LONGEST_RETRY = 60_000
/** Failures in a row after which a member is forgotten: about a quarter of an hour. */
const FAILURES = 20
/** Two that learn of each other at once would both dial: the one with the larger id waits this long for the other. */
const YIELD_MILLIS = 300

const answerSchema = z.object({ addresses: z.array(z.string()).max(ANSWER_ADDRESSES) })

export interface DiscoveryParts {
  self: PeerId
  clock: Clock
  random: () => number
  signal: AbortSignal
  /** Own complete addresses. */
  addresses(): string[]
  /** Connected members, and all connected peers. */
  members(): PeerId[]
  connections(): PeerId[]
  /** Whether a peer is connected through this machine only. */
  isLocal(peer: PeerId): boolean
  dial(addresses: string[], signal: AbortSignal): Promise<unknown>
  request(peer: PeerId, protocol: string, body: Uint8Array, options?: RequestOptions): Promise<Uint8Array>
}

export interface Discovery {
  /** Answers the peers protocol. */
  answer(body: Uint8Array, from: PeerId): Promise<Uint8Array>
  /** Asks these members whom they know. */
  meet(peers: readonly PeerId[]): void
  /** Begins to ask and to dial, until the signal is aborted. */
  start(): void
}

interface Acquaintance {
  addresses: string[]
  failures: number
  /** When it may be dialled next, on the clock. */
  nextAt: number
  dialling: boolean
}

export function createDiscovery(parts: DiscoveryParts): Discovery {
  const { self, clock, random, signal } = parts
  const known = new Map<PeerId, Acquaintance>()
  let asking = false

  /** Takes in what `from` says. Its loopback addresses lead to our own machine where it is on another. */
  function learn(addresses: readonly unknown[], from: PeerId, only?: PeerId): void {
    const local = parts.isLocal(from)
    for (const given of addresses.slice(0, ANSWER_ADDRESSES)) {
      const address = readPeerAddress(given)
      if (address === undefined || address.peer === self || (only !== undefined && address.peer !== only)) continue
      if (!local && loopback(address.multiaddr)) continue
      const yields = self > address.peer ? YIELD_MILLIS * (0.5 + random()) : 0
      const mate = known.get(address.peer) ?? { addresses: [], failures: 0, nextAt: clock.now() + yields, dialling: false }
      if (!mate.addresses.includes(address.text)) mate.addresses = [address.text, ...mate.addresses].slice(0, ADDRESSES_OF_ONE)
      known.set(address.peer, mate)
    }
    for (const peer of known.keys()) {
      if (known.size <= REMEMBERED) break
      if (!parts.connections().includes(peer)) known.delete(peer)
    }
  }

  const encode = (addresses: string[]) => new TextEncoder().encode(JSON.stringify({ addresses }))

  function decode(bytes: Uint8Array): string[] {
    return answerSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))).addresses
  }

  /** Our own addresses, as many as fit into a request. */
  function introduction(): Uint8Array {
    let addresses = parts.addresses().slice(0, ADDRESSES_OF_ONE)
    while (encode(addresses).length > LIMITS.requestBytes) addresses = addresses.slice(0, -1)
    return encode(addresses)
  }

  async function ask(peer: PeerId): Promise<void> {
    try {
      learn(decode(await parts.request(peer, PEERS_PROTOCOL, introduction(), { signal })), peer)
      dialDue()
    } catch {
      // It does not answer or talks nonsense: another is asked next time.
    }
  }

  function askSomeone(): void {
    const members = parts.members()
    const peer = members[Math.floor(random() * members.length)]
    if (peer !== undefined) void ask(peer)
  }

  function dialDue(): void {
    const connected = new Set(parts.connections())
    let room = CONNECTIONS - connected.size - [...known.values()].filter(({ dialling }) => dialling).length
    for (const [peer, mate] of known) {
      if (connected.has(peer)) {
        mate.failures = 0
        // When it is lost, it gets a moment to come back by itself.
        mate.nextAt = clock.now() + FIRST_RETRY * (0.5 + random())
        continue
      }
      if (room <= 0 || mate.dialling || clock.now() < mate.nextAt || signal.aborted) continue
      room--
      void dial(peer, mate)
    }
  }

  async function dial(peer: PeerId, mate: Acquaintance): Promise<void> {
    mate.dialling = true
    try {
      await parts.dial(mate.addresses, signal)
    } catch {
      mate.failures++
      mate.nextAt = clock.now() + Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** mate.failures) * (0.5 + random() / 2)
      if (mate.failures >= FAILURES) known.delete(peer)
    } finally {
      mate.dialling = false
    }
  }

  async function every(millis: () => number, act: () => void): Promise<void> {
    while (!signal.aborted) {
      await pause(clock, millis(), signal)
      if (!signal.aborted) act()
    }
  }

  return {
    async answer(body, from) {
      learn(decode(body), from, from)
      // One address of each before the second of any.
      const members = parts.members().filter((peer) => peer !== from)
      const lists = members.map((peer) => known.get(peer)?.addresses ?? [])
      const addresses = Array.from({ length: ADDRESSES_OF_ONE }, (_, i) => lists.flatMap((list) => list[i] ?? [])).flat()
      // Our own come first: whoever asks may have been dialled by us, and know none that it could dial.
      return encode([...parts.addresses().slice(0, ADDRESSES_OF_ONE), ...addresses].slice(0, ANSWER_ADDRESSES))
    },
    meet(peers) {
      for (const peer of peers) void ask(peer)
    },
    start() {
      if (asking) return
      asking = true
      for (const millis of QUICK_ASKS) void pause(clock, millis * (0.75 + random() / 2), signal).then(() => signal.aborted || askSomeone())
      void every(() => ASK_MILLIS * (0.75 + random() / 2), askSomeone)
      void every(() => DIAL_MILLIS, dialDue)
    },
  }
}
