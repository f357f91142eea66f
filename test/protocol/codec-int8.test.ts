// int8: blocks of 256 signed bytes with a scale each; nothing clips, the error is bounded, and there is one encoding only.
import fc from 'fast-check'
import t from 'tap'
import { valueOfHalf } from '../../protocol/codec/half.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { int8 } from '../../protocol/codec/int8.ts'

const { largest } = int8
/** Values of one magnitude or of wildly different ones, in blocks and parts of blocks. */
const vectors = fc
  .tuple(
    fc.integer({ min: -30, max: 22 }),
    fc.array(fc.oneof(fc.float({ min: -1, max: 1, noNaN: true }), fc.constantFrom(0, -0, 1, -1, Math.fround(1e-7), Math.fround(1e-3))), {
      maxLength: 600,
    }),
  )
  .map(([exponent, values]) => Float32Array.from(values, (x) => x * 2 ** exponent))

const scaleAt = (bytes: Uint8Array, block: number) => valueOfHalf(bytes[block * 258]! | (bytes[block * 258 + 1]! << 8))
const block = (scale: number, ...levels: number[]) => Uint8Array.of(scale & 255, scale >> 8, ...levels)
const ONE = 0x3c00

t.test('no value moves by more than half its scale, which is the least float16 that clips nothing', (t) => {
  fc.assert(
    fc.property(vectors, (values) => {
      const bytes = int8.encode(values)
      const decoded = int8.decode(bytes, values.length, largest)
      if (!('values' in decoded)) return false
      for (let from = 0; from < values.length; from += 256) {
        const own = values.subarray(from, from + 256)
        const most = own.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
        const scale = scaleAt(bytes, from / 256)
        if (127 * scale < most || most === 0 ? scale !== 0 : scale > most / 127 + Math.max((most / 127) * 2 ** -10, 2 ** -24)) return false
        if (!own.every((x, i) => Math.abs(x - decoded.values[from + i]!) <= scale / 2)) return false
      }
      return true
    }),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('what was decoded and is encoded again with the same scale is the same: nothing drifts', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -127, max: 127 }), { maxLength: 300 }), fc.integer({ min: 1, max: 0x7bff }), (levels, scale) => {
      const values = Float32Array.from([127, ...levels].slice(0, 256), (level) => level * valueOfHalf(scale))
      const bytes = block(scale, ...[127, ...levels].slice(0, 256))
      return Buffer.from(int8.encode(values)).equals(bytes)
    }),
  )
  t.end()
})

t.test('any run of whole blocks is a payload of its own', (t) => {
  const values = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i) * (1 + i))
  const bytes = int8.encode(values)
  const whole = int8.decode(bytes, 1000, 1e4)
  const part = int8.decode(bytes.subarray(258, 3 * 258), 512, 1e4)
  t.ok('values' in whole && 'values' in part)
  if ('values' in whole && 'values' in part) t.same(part.values, whole.values.slice(256, 768))
  t.same(int8.encode(values.subarray(256, 768)), bytes.slice(258, 3 * 258))
  t.end()
})

t.test('from 78 values on it is at least 3.9 times smaller than float32', (t) => {
  for (const count of [78, 256, 257, 512, 513, 18_378, 1e6, 1e8]) {
    const ratio = codecOf('float32').encodedLength(count) / int8.encodedLength(count)
    t.ok(ratio >= 3.9, `${count}: ${ratio}`)
  }
  t.equal((4 * 1e8) / int8.encodedLength(1e8) > 3.968, true)
  t.end()
})

t.test('known values have known bytes', (t) => {
  // Ties go to the even level: 0.5 to 0, 1.5 and 2.5 to 2.
  t.same(int8.encode(Float32Array.of(127, -127, 0, -0, 0.5, 1.5, 2.5, -0.5, -1.5, 1)), block(ONE, 127, 129, 0, 0, 0, 2, 2, 0, 254, 1))
  // 1 / 127 lies between two float16: the upper one is taken, 0x2009.
  t.same(int8.encode(Float32Array.of(1, -1, 0.5)), block(0x2009, 127, 129, 63))
  t.same(int8.encode(new Float32Array(3)), block(0, 0, 0, 0))
  // The smallest scale there is: 2^-24, also for what is far smaller.
  t.same(int8.encode(Float32Array.of(1e-30, 2 ** -24, -(2 ** -23))), block(1, 0, 1, 254))
  const two = int8.encode(Float32Array.from({ length: 257 }, (_, i) => (i < 256 ? 127 : 254)))
  t.same(two, Uint8Array.of(...block(ONE, ...new Array(256).fill(127)), ...block(0x4000, 127)))
  t.end()
})

t.test('a scale that is NaN, infinite or negative is refused, in whichever block', (t) => {
  const good = block(ONE, ...new Array(256).fill(1))
  for (const scale of [0x7c00, 0x7c01, 0x7e00, 0x7fff, 0x8000, 0xbc00, 0xfc00, 0xffff]) {
    t.same(int8.decode(block(scale, 0), 1, largest), { rejected: 'not-finite' }, scale.toString(16))
    t.same(int8.decode(Uint8Array.of(...good, ...block(scale, 0)), 257, largest), { rejected: 'not-finite' })
  }
  t.end()
})

t.test('-128 is no encoding of anything, whatever the scale', (t) => {
  for (const scale of [0, 1, ONE, 0x7bff]) {
    t.same(int8.decode(block(scale, 1, 128, 1), 3, Number.POSITIVE_INFINITY), { rejected: 'out-of-bounds' })
    t.ok('values' in int8.decode(block(scale, 1, 129, 1), 3, Number.POSITIVE_INFINITY))
  }
  t.end()
})

t.test('the bound is on what is decoded, and the bound itself passes', (t) => {
  t.same(int8.decode(block(ONE, 10, 246), 2, 10), { values: Float32Array.of(10, -10) })
  t.same(int8.decode(block(ONE, 10, 245), 2, 10), { rejected: 'out-of-bounds' })
  t.end()
})
