// Gossip is for members: to anyone else no stream is opened, and none of theirs is listened to, so that an outsider does not even learn which
// topic, and so which task, this peer works on. Gossipsub itself tells everyone who connects what it subscribes to.
import type { Connection, PeerId as Libp2pPeerId, Stream, Topology } from '@libp2p/interface'
import { type Allowed, type Components, membersOnly, override } from './members-only.ts'

export interface GossipGate {
  /** The components to make gossipsub with. */
  around(components: Components): Components
  /** Begins gossip over a connection whose peer has become a member since it was opened. */
  begin(connection: Connection): void
  /** Ends gossip with a peer that is no member any more, or turns out to be none. */
  end(peer: Libp2pPeerId): void
}

export function createGossipGate(allowed: Allowed): GossipGate {
  const protocols = new Set<string>()
  /** Gossipsub's, one for each version of its protocol; each does the same. */
  const topologies = new Set<Topology>()

  function end(peer: Libp2pPeerId): void {
    const [topology] = topologies
    topology?.onDisconnect?.(peer)
  }

  const isOurs = ({ direction, protocol, writeStatus }: Stream) =>
    direction === 'outbound' && writeStatus === 'writable' && protocols.has(protocol)

  return {
    around(components) {
      const { connectionManager } = components
      const checked = membersOnly(components, allowed, (handler) => (stream, connection) => {
        const peer = connection.remotePeer
        // A stream of ours that was refused, by one whom we were no member to, may still count as open for gossipsub: it would open no other.
        if (!connectionManager.getConnections(peer).some(({ streams }) => streams.some(isOurs))) end(peer)
        return handler(stream, connection)
      })
      const registrar: typeof checked.registrar = Object.create(checked.registrar)
      registrar.register = (protocol, topology) => {
        protocols.add(protocol)
        topologies.add(topology)
        const onConnect: typeof topology.onConnect = (peer, connection) => {
          if (allowed(peer)) topology.onConnect?.(peer, connection)
        }
        return checked.registrar.register(protocol, { ...topology, onConnect })
      }
      return override(checked, { registrar })
    },
    begin(connection) {
      const [topology] = topologies
      topology?.onConnect?.(connection.remotePeer, connection)
    },
    end,
  }
}
