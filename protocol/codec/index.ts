// Codecs: how a vector of parameters becomes the bytes of a payload and back. Decoding is also the gate: what comes out is
// finite and bounded, or it does not come out.
import { MurmurError } from '../errors.ts'
import { float16 } from './float16.ts'
import { float32 } from './float32.ts'
import { int8 } from './int8.ts'

export interface Codec {
  readonly name: string
  /** Largest magnitude that can be carried: a task's `maxAbs` is at most this. */
  readonly largest: number
  /** Bytes of `count` encoded values. */
  encodedLength(count: number): number
  /** The bytes are the result's own. Values are not checked: what cannot be carried becomes bytes that `decode` refuses. */
  encode(values: Float32Array): Uint8Array
  /**
   * Decodes `count` values, each finite and at most `maxAbs` in magnitude; the first that is not says why all are refused.
   * The values may be a view of `bytes`: they are to be read, or copied first.
   */
  decode(bytes: Uint8Array, count: number, maxAbs: number): Decoded
}

export type DecodeFailure = 'wrong-length' | 'not-finite' | 'out-of-bounds'
export type Decoded = { values: Float32Array } | { rejected: DecodeFailure }

const CODECS: readonly Codec[] = [float32, float16, int8]

/** @throws MurmurError('task-unsupported') for a codec that this version does not have. */
export function codecOf(name: string): Codec {
  const codec = CODECS.find((known) => known.name === name)
  if (codec === undefined) {
    const known = CODECS.map((other) => other.name).join(', ')
    throw new MurmurError('task-unsupported', `There is no codec ${JSON.stringify(name)}; known are: ${known}. Update Murmuration.`)
  }
  return codec
}
