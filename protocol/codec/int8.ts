// Eight bits a value. Blocks of 256 values, the last one as long as what is left: a float16 scale (little-endian), then a signed byte
// for each value, which stands for byte x scale. Any run of whole blocks is a payload of its own, so that it can be decoded in parts.
import { boundOf, failureOf } from './gate.ts'
import { HALF_MAX, halfAtLeast, valueOfHalf } from './half.ts'
import type { Codec } from './index.ts'

const BLOCK = 256
const SCALE_BYTES = 2
/** Symmetric: -128 is nobody's encoding and is refused, so that no value lies further out than its block's largest. */
const LEVELS = 127
/** Adding it to a double of up to 2^51 and taking it off again rounds to the nearest whole number, ties to even. */
const ROUND = 1.5 * 2 ** 52
/** Bits of halves from here on are infinities, NaN, or have the sign bit. */
const INFINITE_OR_NEGATIVE = 0x7c00

/**
 * |x - decoded| <= scale / 2. A block's scale is its largest magnitude m / 127 rounded up to a float16, so that nothing is clipped: the
 * error is at most m / 254 x (1 + 2^-10), or m / 254 + 2^-25 where that is more. byte x scale is exact in float32.
 * A block with NaN, an infinity or a value above 127 x 65,504 gets a scale that is not finite, and every decoder refuses it, rather than
 * that a model gone wild is quietly changed. A value within scale / 2 of `maxAbs` may decode to one above it and be refused.
 * A scale with its sign bit set, -0 too, counts as not finite; a byte of -128 as out of bounds.
 */
export const int8: Codec = {
  name: 'int8',
  largest: LEVELS * HALF_MAX,
  encodedLength: (count) => count + SCALE_BYTES * Math.ceil(count / BLOCK),
  encode(values) {
    const bytes = new Uint8Array(int8.encodedLength(values.length))
    for (let from = 0, at = 0; from < values.length; from += BLOCK) {
      const to = Math.min(from + BLOCK, values.length)
      const half = halfAtLeast(largestOf(values, from, to) / LEVELS)
      bytes[at++] = half
      bytes[at++] = half >>> 8
      const scale = valueOfHalf(half)
      // A quotient that is NaN (0 / 0, or of a scale that is refused anyway) is stored as 0. Dividing, not multiplying by 1 / scale,
      // makes ties the same on every platform.
      for (let i = from; i < to; i++) bytes[at++] = values[i]! / scale + ROUND - ROUND
    }
    return bytes
  },
  decode(bytes, count, maxAbs) {
    if (bytes.length !== int8.encodedLength(count)) return { rejected: 'wrong-length' }
    const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    const bound = boundOf(maxAbs)
    const values = new Float32Array(count)
    for (let from = 0, at = 0; from < count; from += BLOCK) {
      const to = Math.min(from + BLOCK, count)
      const half = bytes[at++]! | (bytes[at++]! << 8)
      if (half >= INFINITE_OR_NEGATIVE) return { rejected: 'not-finite' }
      const scale = valueOfHalf(half)
      for (let i = from; i < to; i++) {
        const level = signed[at++]!
        const x = level * scale
        if (level < -LEVELS || !(Math.abs(x) <= bound)) return { rejected: failureOf(x) }
        values[i] = x
      }
    }
    return { values }
  },
}

/** NaN where there is one. */
function largestOf(values: Float32Array, from: number, to: number): number {
  let largest = 0
  for (let i = from; i < to; i++) largest = Math.max(largest, Math.abs(values[i]!))
  return largest
}
