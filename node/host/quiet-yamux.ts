// Yamux that neither ends the process nor fills its memory, and whose windows hold a whole reply.
// It opens a stream with a frame that it sends a moment later, and where the connection has closed in that moment, libp2p's `send` throws
// where nobody can catch it. And it gathers a frame whole, up to the 4 GiB that its header may promise, before it looks at the window.
import type { MessageStream, Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { StreamState, YamuxStream } from '@libp2p/yamux/stream'

/** Bytes of one stream under way to us at most: more than the longest reply. */
const WINDOW_BYTES = 768 * 1024

/** Like `yamux()`; what is sent on a connection that has closed is dropped, as it would be on its way. `onStream` sees each new stream. */
export function quietYamux(onStream: (stream: Stream) => void = () => {}): () => StreamMuxerFactory {
  return () => {
    const factory = yamux({ streamOptions: { maxStreamWindowSize: WINDOW_BYTES } })()
    const create = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection) => {
      const send = connection.send.bind(connection)
      connection.send = (data) => {
        try {
          return send(data)
        } catch (error) {
          // Streams end with the connection; that no more can be sent is all that is left to say.
          if (error instanceof Error && error.name === 'StreamStateError') return false
          throw error
        }
      }
      return tamed(create(connection), connection, onStream)
    }
    return factory
  }
}

/** The encrypted connection that a stream is part of, and who waits for it to hold nothing unencrypted. */
interface Carrier {
  connection: MessageStream
  waiting: Set<() => void>
}

const carriers = new WeakMap<Stream, Carrier>()

function carrierOf(connection: MessageStream): Carrier {
  const waiting = new Set<() => void>()
  const look = () => {
    if (holdsPlain(connection)) return
    for (const done of waiting) done()
    waiting.clear()
  }
  connection.addEventListener('idle', look)
  connection.addEventListener('close', look)
  return { connection, waiting }
}

const holdsPlain = ({ writeBufferLength, status }: MessageStream): boolean => writeBufferLength > 0 && status === 'open'

/** Calls `done` once what a stream has handed to its connection is encrypted, and thereby copied, or dropped with it. */
export function whenEncrypted(stream: Stream, done: () => void): void {
  const carrier = carriers.get(stream)
  if (carrier !== undefined && holdsPlain(carrier.connection)) carrier.waiting.add(done)
  else done()
}

/** What of Yamux's muxer is wrapped; its interface hides it. */
interface Inside {
  decoder: { buffer: { byteLength: number } }
  onData(data: unknown): void
  _newStream(...args: unknown[]): YamuxStream
}

function tamed<M extends StreamMuxer>(muxer: M, connection: MessageStream, onStream: (stream: Stream) => void): M {
  const inside = muxer as unknown as Inside
  const onData = inside.onData.bind(muxer)
  inside.onData = (data) => {
    onData(data)
    // No frame is longer than the window, but for who does not keep to it.
    if (inside.decoder.buffer.byteLength > 2 * WINDOW_BYTES) throw new Error('a frame is longer than the window that it was given')
  }
  const carrier = carrierOf(connection)
  const newStream = inside._newStream.bind(muxer)
  inside._newStream = (...args) => {
    const stream = sparing(newStream(...args))
    carriers.set(stream, carrier)
    onStream(stream)
    return stream
  }
  return muxer
}

/** What of Yamux's stream is looked at. */
interface Window {
  state: StreamState
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate(): void
}

/** Word that more may come is sent once half the window is used, as other implementations do, rather than for each frame. */
function sparing(stream: YamuxStream): YamuxStream {
  const window = stream as unknown as Window
  const tell = window.sendWindowUpdate.bind(stream)
  window.sendWindowUpdate = () => {
    const isOpen = window.state === StreamState.Established || window.state === StreamState.SYNSent
    if (!isOpen || window.recvWindowCapacity < window.recvWindow / 2) tell()
  }
  return stream
}

/** Lets a whole reply come at once: one of a chunk is a little longer than the window that a stream begins with. */
export function widen(stream: Stream): void {
  if (!(stream instanceof YamuxStream)) return
  Object.assign(stream, { recvWindow: WINDOW_BYTES })
  stream.sendWindowUpdate()
}
