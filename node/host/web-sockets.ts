// WebSockets as a second transport, for networks that let nothing but HTTP through. Loaded where an address asks for it.
import type { Server } from 'node:net'
import { type Listener, type MultiaddrConnection, type Transport, transportSymbol } from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import type { WebSocketsComponents } from '@libp2p/websockets'
import type { Multiaddr } from '@multiformats/multiaddr'
import { MurmurError } from '../../protocol/errors.ts'
import { seeing } from './counting-tcp.ts'

/** Bytes of a message: what Noise seals goes out in pieces of 64 KiB, and `ws` would take in 100 MiB from anyone. */
const MESSAGE_BYTES = 2 ** 20
/** Sockets of one listener, and milliseconds that one may be silent before it is a WebSocket; after that libp2p's own limits count. */
const SOCKETS = 256
const SILENT_MILLIS = 10_000

const WEB_SOCKET = /^(ip[46]|dns[46]?) tcp (ws|wss|tls ws)( p2p)?$/

export const isWebSocket = (address: Multiaddr): boolean =>
  WEB_SOCKET.test(
    address
      .getComponents()
      .map(({ name }) => name)
      .join(' '),
  )

/** @param listens whether to be ready to listen: a listener is made without waiting */
export async function webSocketTransport(listens: boolean): Promise<(components: WebSocketsComponents) => Transport> {
  const load = () => import('@libp2p/websockets')
  const loaded = listens ? await load() : undefined
  return (components) => {
    let transport = loaded?.webSockets()(components)
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: '@libp2p/websockets',
      async dial(address, options) {
        transport ??= (await load()).webSockets()(components)
        return transport.dial(address, { ...options, upgrader: seeing(options.upgrader, tamed) })
      },
      createListener(options) {
        if (transport === undefined) throw new MurmurError('internal', 'A WebSocket listener was asked for that no address names.')
        return bounded(transport.createListener({ ...options, upgrader: seeing(options.upgrader, tamed) }))
      },
      listenFilter: (addresses) => (listens ? addresses.filter(isWebSocket) : []),
      dialFilter: (addresses) => addresses.filter(isWebSocket),
    }
  }
}

/** Sets what the listener's two servers have an option for, and libp2p has none. */
function bounded(listener: Listener): Listener {
  const { server, wsServer } = listener as unknown as { server?: Server; wsServer?: { options: { maxPayload: number } } }
  if (server === undefined || wsServer === undefined) throw new MurmurError('internal', 'A WebSocket listener cannot be bounded.')
  wsServer.options.maxPayload = MESSAGE_BYTES
  server.maxConnections = SOCKETS
  // Nobody listens for it once it listens: where no more files can be opened, the next who connects would end the process.
  server.on('error', () => {})
  // `ws` takes the time limit off again once it has shaken hands.
  server.on('connection', (socket) => socket.setTimeout(SILENT_MILLIS, () => socket.destroy()))
  return listener
}

/**
 * @libp2p/websockets 10.1 has two gaps. Nobody listens for errors of a socket that came in: one malformed frame from anyone ends the process.
 * And it resets connections with a code that no WebSocket may send, which throws: who is cut off would stay.
 */
function tamed(connection: MultiaddrConnection): MultiaddrConnection {
  if (!(connection instanceof AbstractMultiaddrConnection) || !('websocket' in connection)) return connection
  const websocket = connection.websocket as EventTarget & { close(): void; terminate?(): void }
  connection.sendReset = () => (websocket.terminate === undefined ? websocket.close() : websocket.terminate())
  websocket.addEventListener('error', () => connection.abort(new Error('the WebSocket failed')))
  return connection
}
