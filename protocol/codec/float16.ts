// IEEE 754 half precision, little-endian: two bytes a value, rounded to the nearest, ties to even.
import { boundOf, failureOf } from './gate.ts'
import { HALF_MAX, halfOfBits, valueOfHalf } from './half.ts'
import type { Codec } from './index.ts'

const BYTES = 2

/** What each of the 65,536 halves stands for: twice as fast as working it out for each value. */
let table: Float32Array | undefined

/**
 * |x - decoded| <= |x| 2^-11 from 2^-14 on, and <= 2^-25 below. What is 65,520 or more becomes an infinity, and NaN stays NaN: every
 * decoder refuses them, rather than that a model gone wild is quietly changed.
 */
export const float16: Codec = {
  name: 'float16',
  largest: HALF_MAX,
  encodedLength: (count) => count * BYTES,
  encode(values) {
    const float32 = new Uint32Array(values.buffer, values.byteOffset, values.length)
    const bytes = new Uint8Array(values.length * BYTES)
    for (let i = 0; i < float32.length; i++) {
      const half = halfOfBits(float32[i]!)
      bytes[2 * i] = half
      bytes[2 * i + 1] = half >>> 8
    }
    return bytes
  },
  decode(bytes, count, maxAbs) {
    if (bytes.length !== count * BYTES) return { rejected: 'wrong-length' }
    table ??= Float32Array.from({ length: 65_536 }, (_, half) => valueOfHalf(half))
    const bound = boundOf(maxAbs)
    const values = new Float32Array(count)
    for (let i = 0; i < count; i++) {
      const x = table[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!
      if (!(Math.abs(x) <= bound)) return { rejected: failureOf(x) }
      values[i] = x
    }
    return { values }
  },
}
