// What every codec promises, and float32: bit-exact, little-endian everywhere. All are gates that nothing unbounded passes.
import fc from 'fast-check'
import t from 'tap'
import { float32Codec } from '../../protocol/codec/float32.ts'
import { codecOf } from '../../protocol/codec/index.ts'

const all = ['float32', 'float16', 'int8'].map(codecOf)
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

for (const codec of all) {
  const { name } = codec
  const through = (values: Float32Array, maxAbs: number) => codec.decode(codec.encode(values), values.length, maxAbs)

  t.test(`${name}: the length follows from the count alone, and any other is refused`, (t) => {
    fc.assert(
      fc.property(fc.float32Array({ maxLength: 1000 }), fc.nat(3000), (values, length) => {
        const bytes = codec.encode(values)
        const other = codec.decode(new Uint8Array(length), values.length, 1)
        const refused = 'rejected' in other && other.rejected === 'wrong-length'
        return bytes.length === codec.encodedLength(values.length) && refused === (length !== bytes.length)
      }),
    )
    t.same(codec.decode(new Uint8Array(0), 0, 1), { values: new Float32Array(0) })
    t.end()
  })

  t.test(`${name}: whatever the bytes, what comes out is finite and bounded; why it does not is one of three reasons`, (t) => {
    const bytes = fc.integer({ min: 0, max: 300 }).chain((count) => {
      const length = codec.encodedLength(count)
      return fc.tuple(fc.constant(count), fc.uint8Array({ minLength: length, maxLength: length }))
    })
    fc.assert(
      fc.property(bytes, fc.constantFrom(0, 1, 1e3, 1e30, Number.POSITIVE_INFINITY), ([count, bytes], maxAbs) => {
        const decoded = codec.decode(bytes, count, maxAbs)
        if ('rejected' in decoded) return ['not-finite', 'out-of-bounds'].includes(decoded.rejected)
        return decoded.values.length === count && decoded.values.every((x) => Number.isFinite(x) && Math.abs(x) <= maxAbs)
      }),
      { numRuns: 500 },
    )
    t.end()
  })

  t.test(`${name}: one value that is not finite, or too large to carry, refuses all`, (t) => {
    const good = fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 600 })
    const bad = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, codec.largest * 1.01, -codec.largest * 1.01)
    fc.assert(
      fc.property(good, fc.nat(), bad, (good, at, x) => {
        const decoded = through(Float32Array.from(good.toSpliced(at % (good.length + 1), 0, x)), Number.POSITIVE_INFINITY)
        return 'rejected' in decoded && decoded.rejected === 'not-finite'
      }),
    )
    t.end()
  })

  t.test(`${name}: the largest it can carry is carried, and a value above the bound refuses all`, (t) => {
    const { largest } = codec
    t.same(through(Float32Array.of(-largest, 0, largest), largest), { values: Float32Array.of(-largest, 0, largest) })
    t.same(through(Float32Array.of(1, -10.1, 2), 10), { rejected: 'out-of-bounds' })
    t.same(through(Float32Array.of(0), Number.NaN), { rejected: 'out-of-bounds' })
    t.end()
  })

  t.test(`${name}: no value changes its sign, so that a variance stays one`, (t) => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, min: Math.fround(-6e4), max: Math.fround(6e4), maxLength: 300 }), (values) => {
        const decoded = through(values, codec.largest)
        return 'values' in decoded && decoded.values.every((x, i) => x * values[i]! >= 0)
      }),
    )
    t.end()
  })

  t.test(`${name}: bytes may lie anywhere in memory, and values too`, (t) => {
    const values = Float32Array.from({ length: 700 }, (_, i) => Math.sin(i))
    const expected = through(values, 1.01)
    const within = new Float32Array(710)
    within.set(values, 3)
    const bytes = codec.encode(within.subarray(3, 703))
    for (const buffer of [new ArrayBuffer(bytes.length + 9), new SharedArrayBuffer(bytes.length + 9)]) {
      const moved = new Uint8Array(buffer, 5, bytes.length)
      moved.set(bytes)
      t.same(codec.decode(moved, 700, 1.01), expected)
    }
    t.end()
  })

  t.test(`${name}: the encoded bytes are their own memory, and encoding changes nothing`, (t) => {
    const values = Float32Array.of(1, 0.5, -0.25)
    const bytes = codec.encode(values)
    t.same(values, Float32Array.of(1, 0.5, -0.25))
    t.equal(bytes.buffer.byteLength, bytes.length)
    const before = bytes.slice()
    values.fill(9)
    t.same(bytes, before)
    t.end()
  })
}

t.test('a codec that does not exist is named, with those that do', (t) => {
  t.throws(() => codecOf('zip'), { code: 'task-unsupported', message: /"zip"; known are: float32, float16, int8/ })
  t.end()
})
