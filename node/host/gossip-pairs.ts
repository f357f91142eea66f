// Who gossips with us over which connection: begun where a peer becomes a member, ended where it is none any more, and begun anew where gossipsub
// has silently dropped a pair.
import type { Connection, PeerId as Libp2pPeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { PeerId } from '../../protocol/identity.ts'
import type { GossipGate } from './gossip-gate.ts'
import { connectedPeers, type Node } from './libp2p-node.ts'
import type { Reputation } from './reputation.ts'

/** Heartbeats (1 s) without a stream of ours to a peer after which it is begun anew: opening one takes less. */
const SILENT_HEARTBEATS = 3

export interface Pairs {
  /** A peer has gossiped with us on its present connection. */
  met(peer: PeerId): void
  /** After who is a member has changed. */
  readmit(): void
  /** To be called at each heartbeat, as is `repair`. */
  expel(): void
  /** From when there is a topic: who has none has no gossip to lose. */
  repair(): void
  forget(peer: PeerId): void
}

export function createPairs(node: Node, gate: GossipGate, { isMember }: Pick<Reputation, 'isMember'>): Pairs {
  const { gossip } = node.services
  const spoke = new Set<PeerId>()
  const silent = new Map<PeerId, number>()
  /** Connected peers that were no members when the gate was last asked: who is put out later still hears of that. */
  const strangers = new Set<PeerId>()

  /** Over a relay's limited connection there is no gossip. */
  const isUsable = ({ status, limits }: Connection) => status === 'open' && limits === undefined

  function begin(peer: Libp2pPeerId): void {
    const connection = node.getConnections(peer).find(isUsable)
    if (connection !== undefined) gate.begin(connection)
  }

  const streamsOf = (peer: Libp2pPeerId) =>
    node
      .getConnections(peer)
      .flatMap(({ streams }) => streams)
      .filter(({ protocol }) => gossip.protocols.includes(protocol))

  /** Ends gossip with those whom the gate has not let in; a stream of ours to one may have been on its way at that time. */
  function expel(): void {
    for (const id of strangers) {
      const peer = peerIdFromString(id)
      const streams = isMember(id) ? [] : streamsOf(peer)
      if (streams.length === 0) continue
      gate.end(peer)
      // Gossipsub only closes its side.
      for (const stream of streams) stream.abort(new Error('only members are answered'))
    }
  }

  return {
    met: (peer) => void spoke.add(peer),
    readmit() {
      const connected = connectedPeers(node)
      for (const id of connected.keys()) {
        if (isMember(id)) strangers.delete(id)
        else strangers.add(id)
      }
      expel()
      const gossiping = new Set(gossip.getPeers().map(String))
      for (const [id, peer] of connected) if (isMember(id) && !gossiping.has(id)) begin(peer)
    },
    expel,
    /**
     * Gossip between two connected peers ends for good where gossipsub has dropped the pair: after one frame that was too long, or when the
     * one of two connections that carried its stream has closed. A new connection heals both. Who has not gossiped yet may not know us as
     * a member yet: it is tried again, as a new connection would only be refused again.
     */
    repair() {
      for (const [id, peer] of connectedPeers(node)) {
        if (!isMember(id) || gate.reaches(peer)) {
          silent.delete(id)
          continue
        }
        const beats = (silent.get(id) ?? 0) + 1
        silent.set(id, beats)
        if (beats < SILENT_HEARTBEATS) continue
        silent.delete(id)
        if (spoke.has(id)) node.hangUp(peer).catch(() => {})
        else {
          gate.end(peer)
          begin(peer)
        }
      }
    },
    forget(peer) {
      spoke.delete(peer)
      silent.delete(peer)
      strangers.delete(peer)
    },
  }
}
