// Connections over libp2p: to an address that is kept up for life, to a peer at the best of its addresses, and what is left when one of two ends.
import type { Connection, PeerId as Libp2pPeerId, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { Address } from './addresses.ts'
import type { Node } from './libp2p-node.ts'
import type { Link } from './redial.ts'

/** Milliseconds a dial may take: a handshake across the world takes one second, and one through a relay three. */
const DIAL_MILLIS = 6000
const RELAYED_DIAL_MILLIS = 10_000
/** The same for an address after which there are others to try: it may lead into the void. */
const ONE_OF_MANY_MILLIS = 3000

const within = (signal: AbortSignal, millis: number) => ({ signal: AbortSignal.any([signal, AbortSignal.timeout(millis)]) })

const isUp = (node: Node, peer: PeerId): boolean => node.getConnections(peerIdFromString(peer)).length > 0

/** Tries the addresses in turn, each of which says whose it is. @throws what the last attempt did */
export async function dialPeer(node: Node, peer: PeerId, addresses: readonly Address[], signal: AbortSignal): Promise<void> {
  let why: unknown
  for (const [i, { multiaddr, relayed }] of addresses.entries()) {
    // It may have come to us meanwhile.
    if (isUp(node, peer)) return
    signal.throwIfAborted()
    const millis = relayed ? RELAYED_DIAL_MILLIS : i + 1 < addresses.length ? ONE_OF_MANY_MILLIS : DIAL_MILLIS
    try {
      await node.dial(multiaddr, within(signal, millis))
      return
    } catch (error) {
      why = error
    }
  }
  throw why
}

/** The link to an address; where that does not say whose it is, the handshake does. `onPeer` is told as soon as it is known. */
export function linkTo(node: Node, address: Address, onPeer: (peer: PeerId) => void, isWanted: (peer: PeerId) => boolean): Link {
  let peer = address.peer
  if (peer !== undefined) onPeer(peer)
  return {
    isWanted: () => peer === undefined || isWanted(peer),
    async dial(signal) {
      if (peer !== undefined && isUp(node, peer)) return peer
      try {
        const connection = await node.dial(address.multiaddr, within(signal, address.relayed ? RELAYED_DIAL_MILLIS : DIAL_MILLIS))
        peer = connection.remotePeer.toString()
        if (isWanted(peer)) onPeer(peer)
        else await connection.close()
        return peer
      } catch (error) {
        if (error instanceof Error && /dial self/i.test(error.message)) {
          throw new MurmurError('bad-join-line', `${address.multiaddr} is this peer's own address; name another peer's.`, { cause: error })
        }
        throw error
      }
    },
    lost: (id, signal) =>
      new Promise<void>((resolve) => {
        const look = (event?: CustomEvent<Libp2pPeerId> | Event) => {
          if (!signal.aborted && (isUp(node, id) || (event instanceof CustomEvent && event.detail.toString() !== id))) return
          node.removeEventListener('peer:disconnect', look)
          signal.removeEventListener('abort', look)
          resolve()
        }
        node.addEventListener('peer:disconnect', look)
        signal.addEventListener('abort', look, { once: true })
        look()
      }),
  }
}

/**
 * Where one of several connections to a peer closes (a relayed one whose place a direct one takes, or one of two that were dialled at once),
 * gossipsub does not move its stream to another. To identify the peer again tells it, and all else, what is there.
 */
export function moveOver(node: Node, closed: Connection): void {
  const { gossip, identify } = node.services
  const left = node.getConnections(closed.remotePeer).filter(({ id, status }) => id !== closed.id && status === 'open')
  const isGossip = ({ direction, protocol }: Stream) => direction === 'outbound' && gossip.protocols.includes(protocol)
  if (left[0] === undefined || left.some(({ streams }) => streams.some(isGossip))) return
  // Where this fails, gossip's own look for silent peers finds it seconds later.
  identify.identify(left[0]).catch(() => {})
}
