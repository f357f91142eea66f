// Who sees whom on the bus: tells each subscriber that a peer has come or gone, and ends what a lost link leaves behind.
import type { PeerId } from '../../protocol/identity.ts'
import type { Clock } from '../ports.ts'
import type { BusNode, Links } from './bus-links.ts'

export interface Neighbours {
  /** The peers that a node sees: linked members with a topic in common. */
  of(node: BusNode): PeerId[]
  /** After any change: of one peer, or of the links between all. */
  update(peer?: PeerId): void
  /** Resolves as soon as a link is gone, or `ended` is aborted. */
  lost(self: PeerId, peer: PeerId, ended: AbortSignal): Promise<void>
}

export function createNeighbours({ nodes, around, linked }: Links, clock: Clock): Neighbours {
  const changed = new Set<() => void>()

  const shareTopic = (a: BusNode, b: BusNode) => [...a.subscriptions.keys()].some((topic) => b.subscriptions.has(topic))
  /** There is gossip only between two who both take each other for members. */
  const admit = (a: BusNode, b: BusNode) => a.reputation.isMember(b.id) && b.reputation.isMember(a.id)
  const sees = (node: BusNode, other: BusNode | undefined): other is BusNode =>
    other !== undefined && linked(node.id, other.id) && admit(node, other) && shareTopic(node, other)

  /** Tells `node` that `peer` has come or gone, where that is news. */
  function introduce(node: BusNode, peer: PeerId): void {
    const seen = sees(node, nodes.get(peer))
    if (seen === node.known.has(peer)) return
    if (seen) node.known.add(peer)
    else node.known.delete(peer)
    if (seen && node.isGated()) node.admitted.add(peer)
    for (const { onPeer, onPeerGone } of node.subscriptions.values()) {
      const tell = seen ? onPeer : onPeerGone
      if (tell) clock.after(0, () => nodes.get(node.id) === node && tell(peer))
    }
  }

  return {
    of: (node) => [...node.known],
    update(peer) {
      const self = peer === undefined ? undefined : nodes.get(peer)
      const touched = new Set(peer === undefined ? nodes.values() : [...around(peer), ...(self === undefined ? [] : [self])])
      for (const node of touched) {
        for (const other of peer === undefined ? [...nodes.keys()] : [peer]) {
          if (other === node.id) continue
          introduce(node, other)
          const mate = nodes.get(other)
          if (mate !== undefined && peer !== undefined) introduce(mate, node.id)
        }
        for (const request of [...node.asking]) if (!linked(node.id, request.peer)) request.fail('the link was lost')
      }
      for (const look of [...changed]) look()
    },
    lost: (self, peer, ended) =>
      new Promise((resolve) => {
        const look = () => {
          if (linked(self, peer) && !ended.aborted) return
          changed.delete(look)
          ended.removeEventListener('abort', look)
          resolve()
        }
        changed.add(look)
        ended.addEventListener('abort', look, { once: true })
        look()
      }),
  }
}
