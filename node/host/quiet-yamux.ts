// Yamux that does not end the process: it opens a stream with a frame that it sends a moment later, and where the connection has closed in that
// moment, libp2p's `send` throws where nobody can catch it.
import type { StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'

/** Like `yamux()`; what is sent on a connection that has closed is dropped, as it would be on its way. */
export function quietYamux(): () => StreamMuxerFactory {
  return () => {
    const factory = yamux()()
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
      return create(connection)
    }
    return factory
  }
}
