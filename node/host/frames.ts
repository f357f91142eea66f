// Frames on a stream: four bytes of length, big endian, then as many bytes; bounded before they are buffered.
import type { Stream } from '@libp2p/interface'
import { untilAborted } from './deadline.ts'

/** Bytes of a frame's length. A varint has no end that an attacker cannot put off. */
const PREFIX_BYTES = 4

export interface Frames {
  /** Waits for the next frame; one that is lent lies where the next one will. @throws FrameTooLong, and what ended the stream or the wait */
  read(signal: AbortSignal, lend?: boolean): Promise<Uint8Array>
  /** Sends parts as one frame. Resolves once nothing of it is held here any more, however slowly the other side reads. */
  write(parts: readonly Uint8Array[], signal: AbortSignal): Promise<void>
  /** Bytes that came and were not read. */
  unread(): number
}

export class FrameTooLong extends Error {
  override name = 'FrameTooLong'
}

/** @param most bytes of a frame to read */
export function framesOn(stream: Stream, most: number): Frames {
  const pieces: Uint8Array[] = []
  let unread = 0
  let ended: Error | undefined
  let tell = () => {}
  let lent = new Uint8Array()

  stream.addEventListener('message', ({ data }) => {
    if (ended !== undefined) return
    pieces.push(...(data instanceof Uint8Array ? [data] : data))
    unread += data.byteLength
    if (unread > most + PREFIX_BYTES) {
      end(new FrameTooLong(`${unread} bytes where a frame of at most ${most} is accepted`))
      pieces.length = 0
      unread = 0
      // Not from within the dispatch of what it has just read.
      queueMicrotask(() => ended !== undefined && stream.abort(ended))
    }
    tell()
  })
  stream.addEventListener('close', ({ error }) => end(error))
  stream.addEventListener('remoteCloseWrite', () => end())

  function end(error = new Error('the stream was closed')): void {
    ended ??= error
    tell()
  }

  async function until(bytes: number, signal: AbortSignal): Promise<void> {
    while (unread < bytes) {
      if (ended !== undefined) throw ended
      const { promise, resolve } = Promise.withResolvers<void>()
      tell = resolve
      await untilAborted(promise, signal)
    }
  }

  /** Takes what is there, as much as `target` holds. */
  function take(target: Uint8Array): Uint8Array {
    let at = 0
    while (at < target.length) {
      const piece = pieces.shift()!
      const part = piece.subarray(0, target.length - at)
      target.set(part, at)
      at += part.length
      if (part.length < piece.length) pieces.unshift(piece.subarray(part.length))
    }
    unread -= at
    return target
  }

  return {
    async read(signal, lend) {
      await until(PREFIX_BYTES, signal)
      const prefix = take(new Uint8Array(PREFIX_BYTES))
      const length = new DataView(prefix.buffer).getUint32(0)
      if (length > most) throw new FrameTooLong(`a frame of ${length} bytes where at most ${most} are accepted`)
      await until(length, signal)
      if (!lend) return take(new Uint8Array(length))
      // Fresh memory costs more than all else that is done with a chunk.
      if (lent.length < length) lent = new Uint8Array(length)
      return take(lent.subarray(0, length))
    },
    async write(parts, signal) {
      const prefix = new Uint8Array(PREFIX_BYTES)
      new DataView(prefix.buffer).setUint32(
        0,
        parts.reduce((sum, part) => sum + part.length, 0),
      )
      for (const part of [prefix, ...parts]) stream.send(part)
      await written(stream, signal)
    },
    unread: () => unread,
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
