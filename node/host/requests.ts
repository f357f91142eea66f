// Request/response over libp2p: frames on streams that are used again, so that a request costs one exchange and no negotiation.
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { type PeerId, shortId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Lent, RequestOptions } from '../ports.ts'
import { type Deadline, deadline, untilAborted } from './deadline.ts'
import { type Frames, framesOn } from './frames.ts'
import type { Node } from './libp2p-node.ts'
import { widen } from './quiet-yamux.ts'
import {
  cancelledRequest,
  checkRequest,
  REPLY_BYTES,
  readReply,
  refusal,
  type Serving,
  tooLong,
  tooLongRequest,
  unreachable,
  whole,
} from './serving.ts'
import { createSlots, type Slots } from './slots.ts'
import { asError, whyOf } from './why.ts'

/** Streams of one protocol on one connection: more than a peer may have in flight, so that it is told "busy" rather than cut off. */
const STREAMS = 64
/** Milliseconds an asker may take to send a request, and to take a reply: four chunks at 32 KiB/s. */
const STREAM_MILLIS = 32_000
/** Milliseconds after which an asker closes a stream that it does not use: well before the other side would. */
const IDLE_MILLIS = 5000
/** Replies in memory at a time, for all members together: those of 16 that read slowly, about 64 MiB. */
const REPLIES = 16 * LIMITS.requestsInFlight
/** The same for one who is no member, which asks for one thing after the other, and for all of them: they take no place of a member's. */
const STRANGER_REPLIES = 2

/** Answers a protocol's requests on a node. */
export function serveStreams(node: Node, protocol: string, serving: Serving, clock: Clock): void {
  const held = heldBy(node)
  const slotsFor = (peer: PeerId) => (serving.isStranger(peer) ? held.strangers : held.members)

  /** A reply counts from before it is made until the other side has taken it: what piles up unread is bounded. */
  async function answer(body: Uint8Array, peer: PeerId, address: string, write: (reply: Lent) => Promise<void>): Promise<void> {
    const giveBack = slotsFor(peer).take(peer)
    if (giveBack === undefined) return await write(whole(refusal('busy: too many answers are waiting to be read')))
    try {
      await write(await serving.answerInParts(protocol, body, peer, address))
    } finally {
      giveBack()
    }
  }

  async function onStream(stream: Stream, connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString()
    let limit = deadline(clock, STREAM_MILLIS)
    try {
      const frames = framesOn(
        stream,
        () => serving.requestBytes(peer),
        (length) => refusal(tooLongRequest(length, serving.requestBytes(peer))),
      )
      for (;;) {
        const body = await frames.read(limit.signal)
        limit.clear()
        await answer(body, peer, connection.remoteAddr.toString(), ({ parts, done }) => {
          limit = deadline(clock, STREAM_MILLIS)
          return frames.write(parts, limit.signal, done)
        })
        limit.clear()
        limit = deadline(clock, STREAM_MILLIS)
      }
    } catch (error) {
      // The asker has what it wanted, has left, or sent garbage: this stream ends, the connection and the peer live on.
      stream.abort(asError(error))
    } finally {
      limit.clear()
    }
  }
  node
    .handle(protocol, onStream, { maxInboundStreams: STREAMS, maxOutboundStreams: STREAMS, force: true })
    // What can fail is only noting the protocol in the peer store while the node stops.
    .catch(() => {})
}

/** A stream between two requests. */
interface Line {
  stream: Stream
  frames: Frames
  /** Ends the wait for the next request. */
  keep(): void
}

/** By node: what all its protocols share. */
const replies = new WeakMap<Node, Record<'members' | 'strangers', Slots>>()
const idle = new WeakMap<Node, Map<string, Line[]>>()

function heldBy(node: Node) {
  const held = replies.get(node) ?? {
    members: createSlots(LIMITS.requestsInFlight, REPLIES),
    strangers: createSlots(STRANGER_REPLIES, STRANGER_REPLIES * LIMITS.strangers),
  }
  replies.set(node, held)
  return held
}

function linesOf(node: Node): Map<string, Line[]> {
  const lines = idle.get(node) ?? new Map<string, Line[]>()
  idle.set(node, lines)
  return lines
}

/** A stream that lies ready, newest first: its window has grown most. */
function takeIdle(node: Node, key: string): Line | undefined {
  const lines = linesOf(node)
  const ready = lines.get(key) ?? []
  for (let line = ready.pop(); line !== undefined; line = ready.pop()) {
    line.keep()
    if (ready.length === 0) lines.delete(key)
    // What came unasked would be taken for the next reply.
    if (line.stream.status === 'open' && line.frames.isClear()) return line
    line.stream.abort(new Error('the stream is of no more use'))
  }
  return undefined
}

function putIdle(node: Node, key: string, line: Omit<Line, 'keep'>, clock: Clock): void {
  const lines = linesOf(node)
  const ready = lines.get(key) ?? []
  if (ready.length >= LIMITS.chunksInFlight) {
    line.stream.abort(new Error('enough streams lie ready'))
    return
  }
  const kept: Line = {
    ...line,
    keep: clock.after(IDLE_MILLIS, () => {
      const left = (lines.get(key) ?? []).filter((other) => other !== kept)
      if (left.length > 0) lines.set(key, left)
      else lines.delete(key)
      line.stream.abort(new Error('the stream was not used any more'))
    }),
  }
  lines.set(key, [...ready, kept])
}

/** @throws peer-unreachable, peer-refused, limit-exceeded, cancelled */
export async function requestOver(
  node: Node,
  peer: PeerId,
  protocol: string,
  body: Uint8Array,
  options: RequestOptions & { clock: Clock; life: AbortSignal; reach?: (peer: PeerId) => Promise<void> },
): Promise<Uint8Array> {
  checkRequest(body, protocol)
  const { clock } = options
  const limit = deadline(clock, options.timeout ?? LIMITS.requestMillis, options.signal, options.life)
  const { signal } = limit
  const key = `${peer} ${protocol}`

  async function ask({ stream, frames }: Omit<Line, 'keep'>): Promise<Uint8Array> {
    try {
      await frames.write([body], signal)
      const reply = await frames.read(signal, options.lend)
      putIdle(node, key, { stream, frames }, clock)
      return reply
    } catch (error) {
      stream.abort(asError(error))
      throw error
    }
  }

  async function askAnew(): Promise<Uint8Array> {
    if (options.reach !== undefined) await untilAborted(options.reach(peer), signal)
    const stream = await node.dialProtocol(peerIdFromString(peer), protocol, { signal })
    widen(stream)
    return await ask({ stream, frames: framesOn(stream, () => REPLY_BYTES) })
  }

  try {
    const line = takeIdle(node, key)
    if (line === undefined) return readReply(await askAnew(), peer)
    const reply = await ask(line).catch((error: unknown) => {
      // The other side may have closed it just now: that says nothing about whether it answers.
      if (signal.aborted || (error instanceof Error && error.name === 'FrameTooLong')) throw error
      return askAnew()
    })
    return readReply(reply, peer)
  } catch (error) {
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
  if (name === 'FrameTooLong' || name === 'StreamBufferError') return tooLong(peer)
  return unreachable(peer, whyOf(error), error)
}
