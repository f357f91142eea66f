// A peer that others cannot dial holds a slot on members that they can, and is reached through these. Whether it can be dialled it learns from
// who has done so: an address that others merely see says nothing behind a router.
import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { Connection, Listener } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { PeerId } from '../../protocol/identity.ts'
import type { Clock } from '../ports.ts'
import type { Components } from './members-only.ts'
import { pause } from './redial.ts'
import { SCOPES, type ScopeOf } from './scopes.ts'

/** Relays used at a time: the second is there while the first restarts. */
const SLOTS = 2
/** Addresses told of one relay: the one it was dialled at, and one that it gives itself. */
const ADDRESSES = 2
const LOOK_MILLIS = 1000
/** Milliseconds that others get to dial us after we have reached far: members do it at once when they hear of a newcomer. */
const GRACE_MILLIS = 3000
/** Milliseconds for which a dial from afar proves that others are possible: routers and laptops move. */
const PROOF_MILLIS = 60 * 60 * 1000
/** Milliseconds before a relay that refused is asked again: it may not have heard yet that we are a member. */
const RETRY_MILLIS = 5000

export interface RelaySlots {
  /** Through which relays this peer is reached now, without its own id. */
  addresses(): Multiaddr[]
}

export interface RelaySlotsParts {
  components: Components
  clock: Clock
  signal: AbortSignal
  scopeOf: () => ScopeOf
  isMember: (peer: PeerId) => boolean
  /** The user says where this peer is reached. */
  announced: boolean
}

/** Runs until the signal is aborted. */
export function keepRelaySlots(parts: RelaySlotsParts): RelaySlots {
  const { clock, signal, isMember } = parts
  const { connectionManager, peerStore, transportManager, upgrader } = parts.components
  /** One listener a relay, for good: libp2p cannot give one up without all others. */
  const listeners = new Map<PeerId, Listener>()
  const notBefore = new Map<PeerId, number>()
  let proof = { scope: SCOPES.machine as number, until: 0 }
  let hiddenSince: number | undefined

  const held = () => [...listeners].filter(([, listener]) => listener.getAddrs().length > 0)

  /** How far we have come, and from how far others have come to us. */
  function look(connections: readonly Connection[], scopeOf: ScopeOf): { reached: number; hidden: boolean } {
    const farthest = (direction: Connection['direction']) =>
      Math.max(SCOPES.machine, ...connections.filter((each) => each.direction === direction).map(({ remoteAddr }) => scopeOf(remoteAddr)))
    const [reached, from] = [farthest('outbound'), farthest('inbound')]
    // Without any connection we may be in another network by now.
    const isVoid = clock.now() > proof.until || connections.length === 0
    if (from >= proof.scope || isVoid) proof = { scope: from, until: clock.now() + PROOF_MILLIS }
    return { reached, hidden: reached >= SCOPES.elsewhere && reached > proof.scope }
  }

  async function reserve(peer: PeerId): Promise<void> {
    const address = multiaddr(`/p2p/${peer}/p2p-circuit`)
    const listener = listeners.get(peer) ?? transportManager.listenTransportForMultiaddr(address)?.createListener({ upgrader })
    if (listener === undefined) return
    listeners.set(peer, listener)
    try {
      await listener.listen(address)
    } catch {
      // It is full, leaving, or does not know us yet: another is asked, or the same one later.
      notBefore.set(peer, clock.now() + RETRY_MILLIS)
    }
  }

  /** Members that we have dialled from as far as we came: what is nearer may be hidden from the others too. */
  async function candidates(connections: readonly Connection[], reached: number, scopeOf: ScopeOf): Promise<PeerId[]> {
    const peers = new Map(
      connections
        .filter(({ direction, remoteAddr }) => direction === 'outbound' && scopeOf(remoteAddr) === reached)
        .map(({ remotePeer }) => [remotePeer.toString(), remotePeer]),
    )
    const fit: PeerId[] = []
    for (const [peer, id] of peers) {
      if (!isMember(peer) || (listeners.get(peer)?.getAddrs().length ?? 0) > 0 || clock.now() < (notBefore.get(peer) ?? 0)) continue
      const { protocols } = await peerStore.get(id).catch(() => ({ protocols: [] as string[] }))
      if (protocols.includes(RELAY_V2_HOP_CODEC)) fit.push(peer)
    }
    return fit
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const scopeOf = parts.scopeOf()
      const direct = connectionManager.getConnections().filter((connection) => connection.direct && connection.status === 'open')
      const { reached, hidden } = look(direct, scopeOf)
      hiddenSince = hidden && !parts.announced ? (hiddenSince ?? clock.now()) : undefined
      if (hiddenSince !== undefined && clock.now() - hiddenSince >= GRACE_MILLIS && held().length < SLOTS) {
        const fit = await candidates(direct, reached, scopeOf)
        for (const peer of fit.slice(0, SLOTS - held().length)) await reserve(peer)
      }
      for (const [peer, at] of notBefore) if (clock.now() >= at) notBefore.delete(peer)
      await pause(clock, LOOK_MILLIS, signal)
    }
  }
  void run()

  return {
    addresses: () => held().flatMap(([, listener]) => useful(listener.getAddrs(), parts.scopeOf())),
  }
}

/** The address that the relay was dialled at comes first; of the others, none that leads less far. */
function useful([dialled, ...others]: readonly Multiaddr[], scopeOf: ScopeOf): Multiaddr[] {
  if (dialled === undefined) return []
  return [dialled, ...others.filter((address) => scopeOf(address) >= scopeOf(dialled))].slice(0, ADDRESSES)
}
