// IEEE 754 half precision as 16 bits in a number: 1 sign, 5 exponent, 10 fraction. Plain arithmetic, because not every platform has
// Float16Array; where there is one the bits are the same.

/** Largest finite half; what would round to 65,536 becomes an infinity. */
export const HALF_MAX = 65_504
const INFINITY = 0x7c00
const NAN = 0x7e00

/** float32's bits at 2^-14, below which halves are subnormal and 2^-24 apart, and at 2^16, above which there are none. */
const SMALLEST_NORMAL = 0x38800000
const TOO_LARGE = 0x47800000
const FLOAT32_INFINITY = 0x7f800000
/** The exponent's bias of float32 less that of float16, where float32 has it; and the fraction bits that float16 lacks. */
const REBIAS = (127 - 15) << 23
const DROPPED_BITS = 13

const value = new Float32Array(1)
const bits = new Uint32Array(value.buffer)

/** The half nearest to a float32 given by its bits, ties to even; NaN stays NaN. */
export function halfOfBits(float32: number): number {
  const sign = (float32 >>> 16) & 0x8000
  const magnitude = float32 & 0x7fffffff
  if (magnitude >= TOO_LARGE) return sign | (magnitude > FLOAT32_INFINITY ? NAN : INFINITY)
  if (magnitude < SMALLEST_NORMAL) return sign | subnormalOf(magnitude)
  // Just under half of what is dropped, or exactly half where the last bit that stays is odd; a carry moves on into the exponent.
  const rounding = 0xfff + ((magnitude >>> DROPPED_BITS) & 1)
  return sign | ((magnitude - REBIAS + rounding) >>> DROPPED_BITS)
}

function subnormalOf(magnitude: number): number {
  const exponent = magnitude >>> 23
  // 2^-25 is half of the smallest half and rounds to even, which is 0; float32's own subnormals are far below.
  const shift = 126 - exponent
  if (shift > 24) return 0
  const fraction = (magnitude & 0x7fffff) | 0x800000
  const half = 1 << (shift - 1)
  return (fraction + half - 1 + ((fraction >>> shift) & 1)) >>> shift
}

/** The half nearest to `x` as a float32. */
export function halfOf(x: number): number {
  value[0] = x
  return halfOfBits(bits[0]!)
}

/** The smallest half that is not below `x` >= 0; an infinity above 65,504. */
export function halfAtLeast(x: number): number {
  const nearest = halfOf(x)
  // Halves that are not negative are in the order of their bits, infinity last.
  return valueOfHalf(nearest) < x ? nearest + 1 : nearest
}

/** What 16 bits stand for. */
export function valueOfHalf(half: number): number {
  const exponent = (half >>> 10) & 31
  const fraction = half & 1023
  const sign = (half & 0x8000) === 0 ? 1 : -1
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}
