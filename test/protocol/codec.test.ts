// The float32 codec: bit-exact, little-endian everywhere, and a gate that nothing unbounded passes.
import fc from 'fast-check'
import t from 'tap'
import { float32Codec } from '../../protocol/codec/float32.ts'
import { codecOf } from '../../protocol/codec/index.ts'

const codecs = [
  { title: 'in bulk', codec: codecOf('float32') },
  { title: 'value by value, as on a big-endian platform', codec: float32Codec(false) },
]
const finite = fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 50 })
const bits = (values: Float32Array) => [...new Uint32Array(values.slice().buffer)]

for (const { title, codec } of codecs) {
  t.test(`${title}: what is encoded decodes to the same bits, at any offset in memory`, (t) => {
    fc.assert(
      fc.property(finite, fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 3 }), (values, offset, skip) => {
        const bytes = codec.encode(values.subarray(Math.min(skip, values.length)))
        const count = values.length - Math.min(skip, values.length)
        const within = new Uint8Array(bytes.length + offset + 1)
        within.set(bytes, offset)
        const decoded = codec.decode(within.subarray(offset, offset + bytes.length), count, 3.5e38)
        return (
          bytes.length === codec.encodedLength(count) &&
          'values' in decoded &&
          bits(decoded.values).join() === bits(values.slice(skip)).join()
        )
      }),
    )
    t.end()
  })

  t.test(`${title}: bytes are little-endian and the sign of zero survives`, (t) => {
    t.same([...codec.encode(Float32Array.of(1, -0))], [0, 0, 0x80, 0x3f, 0, 0, 0, 0x80])
    const decoded = codec.decode(Uint8Array.of(0, 0, 0, 0x80), 1, 1)
    t.ok('values' in decoded && Object.is(decoded.values[0], -0))
    t.end()
  })

  t.test(`${title}: one bad value anywhere refuses all`, (t) => {
    const bad = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -3e38, 1001)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 40 }), fc.nat(), bad, (good, at, x) => {
        const values = Float32Array.from(good.toSpliced(at % (good.length + 1), 0, x))
        const decoded = codec.decode(codec.encode(values), values.length, 1000)
        return 'rejected' in decoded && decoded.rejected === (Number.isFinite(x) ? 'out-of-bounds' : 'not-finite')
      }),
    )
    t.end()
  })

  t.test(`${title}: the bound itself passes, and no bound lets infinities in`, (t) => {
    t.ok('values' in codec.decode(codec.encode(Float32Array.of(10, -10)), 2, 10))
    t.same(codec.decode(codec.encode(Float32Array.of(Number.POSITIVE_INFINITY)), 1, Number.POSITIVE_INFINITY), { rejected: 'not-finite' })
    t.same(codec.decode(codec.encode(Float32Array.of(0)), 1, Number.NaN), { rejected: 'out-of-bounds' })
    t.end()
  })

  t.test(`${title}: any other length is refused before it is read`, (t) => {
    for (const length of [0, 3, 7, 9, 12]) t.same(codec.decode(new Uint8Array(length), 2, 1), { rejected: 'wrong-length' })
    t.ok('values' in codec.decode(new Uint8Array(0), 0, 1))
    t.end()
  })

  t.test(`${title}: the encoded bytes are their own memory`, (t) => {
    const values = Float32Array.of(1, 2)
    const bytes = codec.encode(values)
    values[0] = 9
    t.same(codec.decode(bytes, 2, 10), { values: Float32Array.of(1, 2) })
    t.equal(bytes.buffer.byteLength, 8)
    t.end()
  })
}

t.test('a codec that does not exist is named, with those that do', (t) => {
  t.throws(() => codecOf('int8'), { code: 'task-unsupported', message: /"int8"; known are: float32/ })
  t.end()
})
