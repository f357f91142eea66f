// Request/response over libp2p: one stream a request, each side one length-prefixed frame, bounded before it is buffered.
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { lpStream } from '@libp2p/utils'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { type PeerId, shortId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, RequestOptions } from '../ports.ts'
import { type Deadline, deadline } from './deadline.ts'
import type { Node } from './libp2p-node.ts'
import { cancelledRequest, checkRequest, REPLY_BYTES, readReply, type Serving, tooLong, unreachable } from './serving.ts'
import { whyOf } from './why.ts'

/** Streams of one protocol on one connection: more than a peer may have in flight, so that it is told "busy" rather than cut off. */
const STREAMS = 64
/** Milliseconds an asker may take to send its request, and to take the reply: four chunks at 32 KiB/s. */
const STREAM_MILLIS = 32_000
/** Bytes of a frame's length, big endian. A varint has no end that an attacker cannot put off. */
const PREFIX_BYTES = 4

const framed = (stream: Stream, most: number) =>
  lpStream(stream, {
    maxDataLength: most,
    maxLengthLength: PREFIX_BYTES,
    maxBufferSize: most + PREFIX_BYTES,
    lengthEncoder(length) {
      const prefix = new Uint8Array(PREFIX_BYTES)
      new DataView(prefix.buffer).setUint32(0, length)
      return prefix
    },
    // A RangeError asks for another byte.
    lengthDecoder(prefix) {
      if (prefix.byteLength < PREFIX_BYTES) throw new RangeError('more bytes of the length are to come')
      return prefix.getUint32(0)
    },
  })

/** Answers a protocol's requests on a node. */
export function serveStreams(node: Node, protocol: string, serving: Serving, clock: Clock): void {
  async function onStream(stream: Stream, connection: Connection): Promise<void> {
    let limit = deadline(clock, STREAM_MILLIS)
    try {
      const frames = framed(stream, LIMITS.requestBytes)
      const body = await frames.read({ signal: limit.signal })
      limit.clear()
      const reply = await serving.answer(protocol, body.subarray(), connection.remotePeer.toString())
      limit = deadline(clock, STREAM_MILLIS)
      await frames.write(reply, { signal: limit.signal })
      await stream.close({ signal: limit.signal })
    } catch (error) {
      // Garbage, or an asker that left: this stream ends, the connection and the peer live on.
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    } finally {
      limit.clear()
    }
  }
  node
    .handle(protocol, onStream, { maxInboundStreams: STREAMS, maxOutboundStreams: STREAMS, force: true })
    // What can fail is only noting the protocol in the peer store while the node stops.
    .catch(() => {})
}

/** @throws peer-unreachable, peer-refused, limit-exceeded, cancelled */
export async function requestOver(
  node: Node,
  peer: PeerId,
  protocol: string,
  body: Uint8Array,
  options: RequestOptions & { clock: Clock; life: AbortSignal },
): Promise<Uint8Array> {
  checkRequest(body, protocol)
  const limit = deadline(options.clock, options.timeout ?? LIMITS.requestMillis, options.signal, options.life)
  const { signal } = limit
  let stream: Stream | undefined
  try {
    stream = await node.dialProtocol(peerIdFromString(peer), protocol, { signal })
    const frames = framed(stream, REPLY_BYTES)
    await frames.write(body, { signal })
    await stream.close({ signal })
    const reply = await frames.read({ signal })
    return readReply(reply.subarray(), peer)
  } catch (error) {
    stream?.abort(error instanceof Error ? error : new Error(String(error)))
    throw explain(error, peer, protocol, limit)
  } finally {
    limit.clear()
  }
}

function explain(error: unknown, peer: PeerId, protocol: string, limit: Deadline): MurmurError {
  if (isMurmurError(error)) return error
  if (limit.why === 'cancelled') return cancelledRequest()
  if (limit.why === 'timeout') return unreachable(peer, String(limit.signal.reason?.message ?? 'no answer in time'), error)
  const name = error instanceof Error ? error.name : ''
  if (name === 'UnsupportedProtocolError') {
    return new MurmurError('peer-refused', `Peer …${shortId(peer)} does not serve ${protocol}: it runs another program or version.`, {
      cause: error,
    })
  }
  if (name === 'InvalidDataLengthError' || name === 'InvalidDataLengthLengthError' || name === 'StreamBufferError') return tooLong(peer)
  return unreachable(peer, whyOf(error), error)
}
