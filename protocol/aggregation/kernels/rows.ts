// Encoded rows: read piece by piece into the kernels' memory, decoded there, and held to the task's bound.
import { type Codec, codecOf, type DecodeFailure } from '../../codec/index.ts'
import { encodedAt, FLOAT_BYTES, PIECE } from './layout.ts'
import { DISTANCE_BYTES, type Passes, WEIGHTED_BYTES } from './passes.ts'
import type { SharedMemory } from './webassembly.ts'

/** An encoded vector, wherever it is. */
export interface RowSource {
  /** A codec's name. */
  codec: string
  /** Bytes. */
  size: number
  /** The largest magnitude that passes. */
  maxAbs: number
  /** Fills `into` with the bytes from `at` on. */
  read(at: number, into: Uint8Array): void
}

export function bytesSource(codec: string, bytes: Uint8Array, maxAbs: number): RowSource {
  return { codec, size: bytes.length, maxAbs, read: (at, into) => into.set(bytes.subarray(at, at + into.length)) }
}

/** A vector of this process, which only has to be finite. */
export function floatsSource(values: Float32Array): RowSource {
  return bytesSource('float32', new Uint8Array(values.buffer, values.byteOffset, values.byteLength), Number.MAX_VALUE)
}

/** What rows are padded to with zeros, in floats. */
const PADDING = Math.max(WEIGHTED_BYTES, DISTANCE_BYTES) / FLOAT_BYTES

export interface Decoder {
  /** Decodes coordinates [start, start + count) into floats at `to`; start is a multiple of PIECE or of GRAIN. Says why they are refused. */
  load(source: RowSource, start: number, count: number, to: number): DecodeFailure | undefined
}

/** @param thread whose memory it uses */
export function createDecoder(memory: SharedMemory, passes: Passes, thread: number): Decoder {
  const bytes = new Uint8Array(memory.buffer)
  const floats = new Float32Array(memory.buffer)
  const scratch = encodedAt(thread)

  function decode(codec: Codec, source: RowSource, start: number, count: number, to: number, bound: number): boolean {
    const at = codec.encodedLength(start)
    const size = codec.encodedLength(start + count) - at
    const end = to / FLOAT_BYTES + count
    if (codec.name === 'float32') {
      source.read(at, bytes.subarray(to, to + size))
      floats.fill(0, end, end + padding(count))
      return passes.gate(to, (count + padding(count)) * FLOAT_BYTES, bound) === 0
    }
    source.read(at, bytes.subarray(scratch, scratch + size))
    bytes.fill(0, scratch + size, scratch + size + 64)
    const kernel = codec.name === 'int8' ? passes.blocks : passes.halves
    const bad = kernel(scratch, size, to, bound)
    floats.fill(0, end, end + padding(count))
    return bad === 0
  }

  /** The codec itself says which value is the first that does not pass, and why. */
  function why(codec: Codec, source: RowSource, start: number, count: number): DecodeFailure | undefined {
    const at = codec.encodedLength(start)
    const piece = new Uint8Array(codec.encodedLength(start + count) - at)
    source.read(at, piece)
    const decoded = codec.decode(piece, count, source.maxAbs)
    return 'rejected' in decoded ? decoded.rejected : undefined
  }

  return {
    load(source, start, count, to) {
      const codec = codecOf(source.codec)
      const bound = boundFor(Math.min(source.maxAbs, codec.largest))
      for (let done = 0; done < count; done += PIECE) {
        const piece = Math.min(PIECE, count - done)
        if (decode(codec, source, start + done, piece, to + done * FLOAT_BYTES, bound)) continue
        return why(codec, source, start + done, piece) ?? 'not-finite'
      }
      return undefined
    },
  }
}

const padding = (count: number): number => -count & (PADDING - 1)

const float = new Float32Array(1)
const bits = new Int32Array(float.buffer)

/** The largest float32 that is not above `maxAbs` >= 0: floats are at most the one where they are at most the other. */
function boundFor(maxAbs: number): number {
  float[0] = maxAbs
  if (float[0] > maxAbs) bits[0]!--
  return float[0]
}
