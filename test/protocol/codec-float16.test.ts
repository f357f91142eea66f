// float16: IEEE half precision, rounded to the nearest, the same bits as where a platform has halves of its own.
import fc from 'fast-check'
import t from 'tap'
import { float16 } from '../../protocol/codec/float16.ts'
import { HALF_MAX, halfAtLeast, halfOf, valueOfHalf } from '../../protocol/codec/half.ts'

const view = new DataView(new ArrayBuffer(4))
/** Node's own conversion. */
const nativeHalf = (x: number): number => {
  view.setFloat16(0, x)
  return view.getUint16(0)
}
const nativeValue = (half: number): number => {
  view.setUint16(0, half)
  return view.getFloat16(0)
}
const float32OfBits = (bits: number): number => {
  view.setUint32(0, bits)
  return view.getFloat32(0)
}
const anyFloat = fc.integer({ min: 0, max: 0xffffffff }).map(float32OfBits)
/** Around every half and every middle between two, where rounding turns. */
const nearHalves = fc
  .tuple(fc.integer({ min: 0, max: 0x7bff }), fc.constantFrom(0, 0.5), fc.integer({ min: -2, max: 2 }))
  .map(([half, part, ulps]) => {
    const x = nativeValue(half) + part * (half === 0x7bff ? 32 : nativeValue(half + 1) - nativeValue(half))
    view.setFloat32(0, x)
    return float32OfBits(Math.max(0, view.getInt32(0) + ulps))
  })

t.test("all 65,536 halves stand for what the platform's do, and are the halves of those values", (t) => {
  for (let half = 0; half < 65_536; half++) {
    const x = valueOfHalf(half)
    if (!Object.is(x, nativeValue(half))) t.fail(`${half} stands for ${nativeValue(half)}, not ${x}`)
    if (!Number.isNaN(x) && halfOf(x) !== half) t.fail(`${x} is ${half}, not ${halfOf(x)}`)
  }
  t.equal(halfOf(Number.NaN), nativeHalf(Number.NaN))
  t.equal(valueOfHalf(0x7bff), HALF_MAX)
  t.end()
})

t.test("any float32 becomes the half that the platform's conversion gives", (t) => {
  const alike = (x: number) => Number.isNaN(x) || halfOf(x) === nativeHalf(x)
  fc.assert(fc.property(anyFloat, alike), { numRuns: 20_000 })
  fc.assert(
    fc.property(nearHalves, (x) => alike(x) && alike(-x)),
    { numRuns: 20_000 },
  )
  t.end()
})

t.test('rounding up gives the smallest half that is not below', (t) => {
  const least = (x: number) => {
    const half = halfAtLeast(x)
    return valueOfHalf(half) >= x && (half === 0 || valueOfHalf(half - 1) < x)
  }
  fc.assert(fc.property(fc.double({ min: 0, max: 70_000, noNaN: true }), least), { numRuns: 5000 })
  fc.assert(
    fc.property(nearHalves, fc.constantFrom(1, 1 + 2 ** -50, 1 - 2 ** -50), (x, factor) => least(x * factor)),
    { numRuns: 5000 },
  )
  for (const [x, half] of [
    [0, 0],
    [1e-30, 1],
    [HALF_MAX, 0x7bff],
    [HALF_MAX + 1e-9, 0x7c00],
    [1e300, 0x7c00],
  ] as const) {
    t.equal(halfAtLeast(x), half, `${x}`)
  }
  t.end()
})

t.test('the error is within the stated bound', (t) => {
  const within = fc.oneof(
    fc.float({ min: -HALF_MAX, max: HALF_MAX, noNaN: true }),
    fc.float({ min: Math.fround(-1e-4), max: Math.fround(1e-4), noNaN: true }),
  )
  fc.assert(
    fc.property(fc.array(within, { maxLength: 100 }), (given) => {
      const values = Float32Array.from(given)
      const decoded = float16.decode(float16.encode(values), values.length, HALF_MAX)
      return (
        'values' in decoded &&
        values.every((x, i) => Math.abs(x - decoded.values[i]!) <= (Math.abs(x) >= 2 ** -14 ? Math.abs(x) * 2 ** -11 : 2 ** -25))
      )
    }),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('known values have known bytes, little-endian, the sign of zero too', (t) => {
  const values = Float32Array.of(1, -2, 0, -0, HALF_MAX, 2 ** -14, 2 ** -24, 1 / 3, 65_519.996)
  const bytes = [0x00, 0x3c, 0x00, 0xc0, 0, 0, 0, 0x80, 0xff, 0x7b, 0x00, 0x04, 0x01, 0x00, 0x55, 0x35, 0xff, 0x7b]
  t.same([...float16.encode(values)], bytes)
  const decoded = float16.decode(Uint8Array.from(bytes), values.length, HALF_MAX)
  t.ok('values' in decoded && Object.is(decoded.values[3], -0))
  t.end()
})

t.test('infinities, NaN of any kind, and what rounds to an infinity are refused', (t) => {
  for (const half of [0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xffff]) {
    t.same(float16.decode(Uint8Array.of(0, 0, half & 255, half >> 8), 2, Number.POSITIVE_INFINITY), { rejected: 'not-finite' })
  }
  t.same(float16.decode(float16.encode(Float32Array.of(65_520)), 1, 1e5), { rejected: 'not-finite' })
  t.end()
})
