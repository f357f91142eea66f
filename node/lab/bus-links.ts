// The links of the bus: who is linked with whom, what tests cut, delay and lose, and what arrives.
import type { PeerId } from '../../protocol/identity.ts'
import type { Reputation } from '../host/reputation.ts'
import type { Serving } from '../host/serving.ts'
import type { Clock, Network } from '../ports.ts'

export type Subscription = Parameters<Network['subscribe']>[1]

/** A running peer, as the others on the bus reach it. */
export interface BusNode {
  readonly id: PeerId
  subscriptions: Map<string, Subscription>
  serving: Serving
  reputation: Reputation
  /** Peers that were members once, and those that are none any more: their links are gone. */
  isGated(): boolean
  admitted: Set<PeerId>
  expelled: Set<PeerId>
  /** Peers that were told to the subscriber. */
  known: Set<PeerId>
  /** Requests on the way, failed when their link goes. */
  asking: Set<{ peer: PeerId; fail(why: string): void }>
  traffic: { received: number; sent: number }
}

/** What is about to cross a link. */
export interface Transit {
  from: PeerId
  to: PeerId
  kind: 'gossip' | 'request' | 'response'
  length: number
  /** Put together only where someone looks at them. */
  readonly bytes: Uint8Array
}

export interface Links {
  /** The running peers by their ids. */
  nodes: Map<PeerId, BusNode>
  /** Those of them that may be linked with a peer: all, unless wires say which. */
  around(peer: PeerId): Iterable<BusNode>
  linked(a: PeerId, b: PeerId): boolean
  /** Calls `act` when the bytes have arrived, or `onLost` where they never will; returns false where that is known at once. */
  cross(transit: Transit, act: (target: BusNode) => void, onLost?: () => void): boolean
  partition(groups: readonly (readonly PeerId[])[]): void
  heal(): void
  cut(a: PeerId, b: PeerId): void
  mend(a: PeerId, b: PeerId): void
  lose(lose: (transit: Transit) => boolean): void
}

/** Who can ever be linked with a peer, symmetric. */
export type Wires = (peer: PeerId) => ReadonlySet<PeerId>

export function createLinks(clock: Clock, delayMillis: number | ((from: PeerId, to: PeerId) => number), wires?: Wires): Links {
  const nodes = new Map<PeerId, BusNode>()
  const cuts = new Set<string>()
  let groupOf: ((peer: PeerId) => number) | undefined
  let isLost: (transit: Transit) => boolean = () => false

  const linkName = (a: PeerId, b: PeerId) => (a < b ? `${a} ${b}` : `${b} ${a}`)
  const linked = (a: PeerId, b: PeerId): boolean =>
    a !== b &&
    nodes.has(a) &&
    nodes.has(b) &&
    (wires === undefined || wires(a).has(b)) &&
    !nodes.get(a)?.expelled.has(b) &&
    !nodes.get(b)?.expelled.has(a) &&
    (groupOf === undefined || groupOf(a) === groupOf(b)) &&
    (cuts.size === 0 || !cuts.has(linkName(a, b)))

  return {
    nodes,
    around: (peer) => (wires === undefined ? nodes.values() : [...wires(peer)].flatMap((other) => nodes.get(other) ?? [])),
    linked,
    cross(transit, act, onLost = () => {}) {
      const source = nodes.get(transit.from)
      const target = nodes.get(transit.to)
      const isLinked = source !== undefined && target !== undefined && linked(source.id, target.id)
      if (isLinked) source.traffic.sent += transit.length
      if (!isLinked || isLost(transit)) {
        onLost()
        return false
      }
      const millis = typeof delayMillis === 'number' ? delayMillis : delayMillis(transit.from, transit.to)
      clock.after(millis, () => {
        // A peer that restarted meanwhile is another connection: what was under way is lost.
        if (nodes.get(transit.to) !== target || !linked(transit.from, transit.to)) return onLost()
        target.traffic.received += transit.length
        act(target)
      })
      return true
    },
    partition(groups) {
      const index = new Map(groups.flatMap((group, i) => group.map((peer) => [peer, i] as const)))
      groupOf = (peer) => index.get(peer) ?? -1
    },
    heal() {
      groupOf = undefined
      cuts.clear()
    },
    cut: (a, b) => void cuts.add(linkName(a, b)),
    mend: (a, b) => void cuts.delete(linkName(a, b)),
    lose(lose) {
      isLost = lose
    },
  }
}
