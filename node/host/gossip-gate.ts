// Gossip is for members: to anyone else no stream is opened, and none of theirs is listened to, so that an outsider does not even learn which
// topic, and so which task, this peer works on. Gossipsub itself tells everyone who connects what it subscribes to.
import type { Connection, PeerId as Libp2pPeerId, Stream, Topology } from '@libp2p/interface'
import { type Allowed, type Components, membersOnly, override } from './members-only.ts'

export interface GossipGate {
  /** Whether what we publish gets to a peer. Its subscriptions arrive on its own stream, often before ours is open. */
  reaches(peer: Libp2pPeerId): boolean
  /** The components to make gossipsub with. */
  around(components: Components): Components
  /** Begins gossip over a connection whose peer has become a member since it was opened. */
  begin(connection: Connection): void
  /** Ends gossip with a peer that is no member any more, or turns out to be none. */
  end(peer: Libp2pPeerId): void
}

export function createGossipGate(allowed: Allowed): GossipGate {
  const protocols = new Set<string>()
  /** Gossipsub's, the same for each version of its protocol. */
  let topology: Topology | undefined
  let connectionsTo: (peer: Libp2pPeerId) => Connection[] = () => []

  const isOurs = ({ direction, protocol, writeStatus }: Stream) =>
    direction === 'outbound' && writeStatus === 'writable' && protocols.has(protocol)
  const reaches = (peer: Libp2pPeerId) => connectionsTo(peer).some(({ streams }) => streams.some(isOurs))
  const end = (peer: Libp2pPeerId) => topology?.onDisconnect?.(peer)

  return {
    around(components) {
      connectionsTo = (peer) => components.connectionManager.getConnections(peer)
      const checked = membersOnly(components, allowed, (handler) => (stream, connection) => {
        const peer = connection.remotePeer
        // A stream of ours that was refused, by one whom we were no member to, may still count as open for gossipsub: it would open no other.
        if (!reaches(peer)) end(peer)
        return handler(stream, connection)
      })
      const registrar: typeof checked.registrar = Object.create(checked.registrar)
      registrar.register = (protocol, registered) => {
        protocols.add(protocol)
        topology = registered
        const onConnect: typeof registered.onConnect = (peer, connection) => {
          if (allowed(peer)) registered.onConnect?.(peer, connection)
        }
        return checked.registrar.register(protocol, { ...registered, onConnect })
      }
      return override(checked, { registrar })
    },
    reaches,
    begin(connection) {
      topology?.onConnect?.(connection.remotePeer, connection)
    },
    end,
  }
}
