// Frames on a stream: four bytes of length, big endian, then as many bytes; bounded before they are buffered.
import type { Stream } from '@libp2p/interface'
import { concat } from 'uint8arrays/concat'
import { untilAborted } from './deadline.ts'
import { whenEncrypted } from './quiet-yamux.ts'

/** Bytes of a frame's length. A varint has no end that an attacker cannot put off. */
const PREFIX_BYTES = 4
/** Bytes of a part that is copied rather than sent by itself. */
const SMALL_BYTES = 1024

export interface Frames {
  /** Waits for the next frame; one that is lent lies where the next one will. @throws FrameTooLong, and what ended the stream or the wait */
  read(signal: AbortSignal, lend?: boolean): Promise<Uint8Array>
  /**
   * Sends parts as one frame. Resolves once the stream holds nothing of it any more, however slowly the other side reads; calls `done` once
   * the connection below does not either, which the stream's end does not wait for.
   */
  write(parts: readonly Uint8Array[], signal: AbortSignal, done?: () => void): Promise<void>
  /** Nothing came that was not read. */
  isClear(): boolean
}

export class FrameTooLong extends Error {
  override name = 'FrameTooLong'
}

/**
 * @param most bytes of a frame to read, asked for each
 * @param farewell the last frame sent to whoever begins a longer one; nothing of that is kept, and the stream ends
 */
export function framesOn(stream: Stream, most: () => number, farewell?: (length: number) => Uint8Array): Frames {
  /** What came and was not read lies in `room` from `first` to `last`: copied at once, as pieces that wait are memory that is not soon used again. */
  let room = new Uint8Array()
  let first = 0
  let last = 0
  /** Bytes of the frame that is coming, once its length is here. */
  let coming: number | undefined
  let ended: Error | undefined
  let tell = () => {}

  stream.addEventListener('message', ({ data }) => {
    if (ended !== undefined) return
    for (const piece of data instanceof Uint8Array ? [data] : data) keep(piece)
    tell()
  })
  stream.addEventListener('close', ({ error }) => end(error))
  stream.addEventListener('remoteCloseWrite', () => end())

  function end(error = new Error('the stream was closed')): void {
    ended ??= error
    tell()
  }

  function keep(piece: Uint8Array): void {
    if (ended !== undefined) return
    makeRoom(piece.length)
    room.set(piece, last)
    last += piece.length
    look()
  }

  function makeRoom(bytes: number): void {
    const unread = last - first
    if (last + bytes > room.length || unread === 0) {
      const needed = Math.max(unread + bytes, coming ?? 0) + PREFIX_BYTES
      const next = needed > room.length ? new Uint8Array(needed) : room
      next.set(room.subarray(first, last))
      room = next
      first = 0
      last = unread
    }
  }

  /** Reads the length of a frame as soon as it is there: what is too long is not waited for. */
  function look(): void {
    if (coming === undefined && last - first >= PREFIX_BYTES) {
      coming = new DataView(room.buffer, first, PREFIX_BYTES).getUint32(0)
      first += PREFIX_BYTES
    }
    const bound = most()
    const unread = last - first
    if ((coming ?? 0) > bound || unread > bound + PREFIX_BYTES) refuse(Math.max(coming ?? 0, unread - PREFIX_BYTES), bound)
  }

  function refuse(length: number, bound: number): void {
    room = new Uint8Array()
    first = last = 0
    const error = new FrameTooLong(`a frame of ${length} bytes where at most ${bound} are accepted`)
    end(error)
    if (farewell !== undefined && stream.writeStatus === 'writable') send([farewell(length)])
    // Not from within the dispatch of what it has just read.
    queueMicrotask(() => stream.abort(error))
  }

  /** What is small goes together with what precedes it: each piece costs a frame of Yamux's and one of Noise's. */
  function send(parts: readonly Uint8Array[]): void {
    const prefix = new Uint8Array(PREFIX_BYTES)
    new DataView(prefix.buffer).setUint32(
      0,
      parts.reduce((sum, part) => sum + part.length, 0),
    )
    let small: Uint8Array[] = [prefix]
    const flush = () => {
      if (small.length > 0) stream.send(concat(small))
      small = []
    }
    for (const part of parts) {
      if (part.length <= SMALL_BYTES) {
        small.push(part)
        continue
      }
      flush()
      stream.send(part)
    }
    flush()
  }

  return {
    async read(signal, lend) {
      while (coming === undefined || last - first < coming) {
        if (ended !== undefined) throw ended
        const { promise, resolve } = Promise.withResolvers<void>()
        tell = resolve
        await untilAborted(promise, signal)
      }
      const frame = room.subarray(first, first + coming)
      first += coming
      coming = undefined
      look()
      return lend ? frame : frame.slice()
    },
    async write(parts, signal, done) {
      try {
        send(parts)
        await written(stream, signal)
      } finally {
        if (done) whenEncrypted(stream, done)
      }
    },
    isClear: () => first === last && coming === undefined,
  }
}

/** `send` only queues; what waits for the other side's window is memory of ours until it is gone. */
async function written(stream: Stream, signal: AbortSignal): Promise<void> {
  if (stream.writeBufferLength === 0) return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const look = () => void (stream.writeBufferLength === 0 && resolve())
  const onClose = () => reject(new Error('the stream was closed while it was written to'))
  stream.addEventListener('idle', look)
  stream.addEventListener('close', onClose)
  try {
    await untilAborted(promise, signal)
  } finally {
    stream.removeEventListener('idle', look)
    stream.removeEventListener('close', onClose)
  }
}
