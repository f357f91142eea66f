// Transports with a meter: counts what crosses their sockets, whatever protocol it belongs to.
import { Socket } from 'node:net'
import type { MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface'
import { type TCPComponents, tcp } from '@libp2p/tcp'
import { AbstractMultiaddrConnection } from '@libp2p/utils'

export interface Meter {
  /** Bytes read from sockets and handed to them: encrypted frames with their headers, without those of TCP, IP and WebSocket. */
  received: number
  sent: number
}

/** Like `tcp()`; adds to `meter`. */
export const countingTcp = (meter: Meter) => counting((components: TCPComponents) => tcp()(components), meter)

/** The same transport; what its connections carry is added to `meter`. */
export function counting<C>(make: (components: C) => Transport, meter: Meter): (components: C) => Transport {
  return (components) => {
    const transport = make(components)
    const dial = transport.dial.bind(transport)
    const createListener = transport.createListener.bind(transport)
    const count = (connection: MultiaddrConnection) => watch(connection, meter)
    transport.dial = (address, options) => dial(address, { ...options, upgrader: seeing(options.upgrader, count) })
    transport.createListener = (options) => createListener({ ...options, upgrader: seeing(options.upgrader, count) })
    return transport
  }
}

/** The upgrader is where every raw connection passes by, inbound and outbound, before its first byte. */
export function seeing(upgrader: Upgrader, see: (connection: MultiaddrConnection) => MultiaddrConnection): Upgrader {
  const wrapper: Upgrader = Object.create(upgrader)
  wrapper.upgradeInbound = (connection, options) => upgrader.upgradeInbound(see(connection), options)
  wrapper.upgradeOutbound = (connection, options) => upgrader.upgradeOutbound(see(connection), options)
  return wrapper
}

function watch(connection: MultiaddrConnection, meter: Meter): MultiaddrConnection {
  if (!(connection instanceof AbstractMultiaddrConnection)) return connection
  const onData = connection.onData.bind(connection)
  const sendData = connection.sendData.bind(connection)
  connection.onData = (data) => {
    meter.received += data.byteLength
    onData(data)
  }
  const gather = gathering(connection)
  connection.sendData = (data) => {
    gather()
    const result = sendData(data)
    meter.sent += result.sentBytes
    return result
  }
  return connection
}

/** Noise hands over each frame's two bytes of length and its body apart: what is written in one turn becomes one call to the system. */
function gathering(connection: object): () => void {
  const socket = 'socket' in connection ? connection.socket : undefined
  if (!(socket instanceof Socket)) return () => {}
  let isHeld = false
  return () => {
    if (isHeld) return
    isHeld = true
    socket.cork()
    process.nextTick(() => {
      isHeld = false
      socket.uncork()
    })
  }
}
