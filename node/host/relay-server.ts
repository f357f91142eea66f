// Relays for members that cannot be dialled: libp2p's relay without its limits of 128 KiB and two minutes, which gossip does not survive, and
// with one that it lacks: it would buffer without end what the slower side does not take.
import { AsyncLocalStorage } from 'node:async_hooks'
import { type CircuitRelayService, circuitRelayServer } from '@libp2p/circuit-relay-v2'
import type { Connection, Stream } from '@libp2p/interface'
import { type Allowed, type Components, membersOnly, override } from './members-only.ts'

/** Members that may hold a slot here, and milliseconds that one lasts without being asked for again: of one that left it is soon free. */
const SLOTS = 128
const SLOT_MILLIS = 30 * 60 * 1000
/** Relayed connections of one member, in each direction: as many as it seeks, and as many again that seek it. */
const STREAMS = 64
/** Bytes read from one side and not yet taken by the other: a chunk and its framing go through without a stop. */
const BUFFERED = 512 * 1024

export function relayServer(components: Components, allowed: Allowed): CircuitRelayService {
  // The two streams that the server joins are known to it alone; the second is opened while the first is handled.
  const hop = new AsyncLocalStorage<Stream>()
  const { connectionManager } = components
  const watched: typeof connectionManager = Object.create(connectionManager)
  watched.getConnections = (peer) => connectionManager.getConnections(peer).map((connection) => joining(connection, () => hop.getStore()))
  const parts = override(
    membersOnly(components, allowed, (handler) => (stream, connection) => hop.run(stream, () => handler(stream, connection))),
    { connectionManager: watched },
  )
  return circuitRelayServer({
    reservations: { applyDefaultLimit: false, maxReservations: SLOTS, reservationTtl: SLOT_MILLIS },
    maxInboundHopStreams: STREAMS,
    maxOutboundHopStreams: STREAMS,
    maxOutboundStopStreams: STREAMS,
  })(parts)
}

/** The connection, whose new streams are paced together with the one that they are opened for. */
function joining(connection: Connection, other: () => Stream | undefined): Connection {
  const joined: Connection = Object.create(connection)
  joined.newStream = async (...how) => {
    const stream = await connection.newStream(...how)
    const mate = other()
    if (mate !== undefined) {
      pace(mate, stream)
      pace(stream, mate)
    }
    return stream
  }
  return joined
}

/** Stops reading `from` while `to` has too much of it before it. */
function pace(from: Stream, to: Stream): void {
  const send = to.send.bind(to)
  let waiting = 0
  from.addEventListener('message', ({ data }) => {
    waiting += data.byteLength
    if (waiting > BUFFERED && from.readStatus === 'readable') from.pause()
  })
  to.send = (data) => {
    waiting = Math.max(0, waiting - data.byteLength)
    if (waiting <= BUFFERED / 2 && from.readStatus === 'paused') from.resume()
    return send(data)
  }
}
