import fc from 'fast-check'
import t from 'tap'
import { decodeSafetensors, encodeSafetensors } from '../../node/store/safetensors.ts'
import { sizeOf } from '../../protocol/layout.ts'

const join = (parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

/** A file with any header and data. */
function file(header: unknown, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + json.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  return bytes
}

const tensor = (shape: number[], begin: number, end: number, dtype = 'F32') => ({ dtype, shape, data_offsets: [begin, end] })

t.test('a file is byte for byte what the format says', async (t) => {
  const bytes = join(encodeSafetensors([{ name: 'w', shape: [1, 2], data: Float32Array.of(1, -2) }], { k: 'v' }))
  const json = '{"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}'
  const padded = json.padEnd(Math.ceil(json.length / 8) * 8)
  t.equal(
    Buffer.from(bytes).toString('hex'),
    `${Buffer.of(padded.length, 0, 0, 0, 0, 0, 0, 0).toString('hex')}${Buffer.from(padded).toString('hex')}0000803f000000c0`,
  )
  const unpadded = file({ w: tensor([2], 0, 8) }, 8)
  t.strictSame(decodeSafetensors(unpadded, 'f').tensors.get('w')?.data, Float32Array.of(0, 0), 'data may lie at any address')
})

t.test('what is written is read back bit for bit, whatever the names', async (t) => {
  const named = fc.record({
    name: fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__'),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  })
  const tensors = fc
    .uniqueArray(named, { selector: ({ name }) => name, maxLength: 6 })
    .chain((list) =>
      fc.tuple(
        ...list.map(({ name, shape }) =>
          fc.float32Array({ minLength: sizeOf(shape), maxLength: sizeOf(shape) }).map((data) => ({ name, shape, data })),
        ),
      ),
    )
  fc.assert(
    fc.property(tensors, fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }), (list, metadata) => {
      const read = decodeSafetensors(join(encodeSafetensors(list, metadata)), 'f')
      if (JSON.stringify(Object.entries(read.metadata).sort()) !== JSON.stringify(Object.entries(metadata).sort())) return false
      return (
        read.tensors.size === list.length &&
        list.every(({ name, shape, data }) => {
          const found = read.tensors.get(name)
          return found?.shape.join() === shape.join() && Buffer.from(bits(found.data)).equals(bits(data))
        })
      )
    }),
  )
  for (const name of ['__proto__', 'constructor', '0', 'optimizer', '']) {
    const read = decodeSafetensors(join(encodeSafetensors([{ name, shape: [], data: Float32Array.of(3) }], {})), 'f')
    t.strictSame([...read.tensors.keys()], [name])
  }
})

const bits = (data: Float32Array) => new Uint8Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength))

t.test('a file that breaks any rule is refused in one sentence', async (t) => {
  const cases: [string, Uint8Array][] = [
    ['it has only 0 bytes', new Uint8Array()],
    ['does not fit', Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 123, 125)],
    ['does not fit', file({}, 0).subarray(0, 9)],
    ['not a JSON object', file('{"w":', 0)],
    ['not a JSON object', file('[]', 0)],
    ['not a JSON object', file('null', 0)],
    ['metadata is not text', file({ __metadata__: { a: 1 } }, 0)],
    ['metadata is not text', file({ __metadata__: [] }, 0)],
    ['"w" has no description', file({ w: 1 }, 0)],
    ['"w" has the type "F16", not F32', file({ w: tensor([2], 0, 4, 'F16') }, 4)],
    ['"w" has a bad shape', file({ w: { ...tensor([1], 0, 4), shape: [-1] } }, 4)],
    ['"w" has a bad shape', file({ w: { ...tensor([1], 0, 4), shape: 'x' } }, 4)],
    ['"w" has a bad shape', file({ w: tensor(new Array(9).fill(1), 0, 4) }, 4)],
    ['"w" has bad offsets', file({ w: { ...tensor([1], 0, 4), data_offsets: [0, 4, 8] } }, 4)],
    ['"w" has bad offsets', file({ w: { ...tensor([1], 0, 4), data_offsets: [0.5, 4.5] } }, 4)],
    ['"w" has 8 bytes for the shape [1]', file({ w: tensor([1], 0, 8) }, 8)],
    ['"w" has -4 bytes', file({ w: tensor([1], 4, 0) }, 4)],
    ['"w" begins at byte 4 instead of 0', file({ w: tensor([1], 4, 8) }, 8)],
    ['"b" begins at byte 0 instead of 4', file({ a: tensor([1], 0, 4), b: tensor([1], 0, 4) }, 8)],
    ['it has 4 bytes of data instead of 8', file({ w: tensor([2], 0, 8) }, 4)],
    ['it has 12 bytes of data instead of 8', file({ w: tensor([2], 0, 8) }, 12)],
    ['it has 5000 tensors', file(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`t${i}`, tensor([0], 0, 0)])), 0)],
  ]
  for (const [why, bytes] of cases) {
    t.throws(() => decodeSafetensors(bytes, 'model.safetensors'), { code: 'directory-invalid', message: why }, why)
  }
})

t.test('no bytes at all make the reader fail in another way than by its error', async () => {
  const good = join(encodeSafetensors([{ name: 'w', shape: [2], data: Float32Array.of(1, 2) }], { round: '1' }))
  const damaged = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length)).map(([at, value, length]) => {
    const bytes = good.slice()
    bytes[at] = value
    return bytes.subarray(0, length)
  })
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 64 })), (bytes) => {
      try {
        decodeSafetensors(bytes, 'f')
      } catch (error) {
        return (error as { code?: string }).code === 'directory-invalid'
      }
      return true
    }),
    { numRuns: 500 },
  )
})

t.test('what cannot be written is refused', async (t) => {
  t.throws(() => encodeSafetensors([{ name: '__metadata__', shape: [], data: Float32Array.of(1) }], {}), { code: 'model-invalid' })
  t.throws(() => encodeSafetensors([{ name: 'w', shape: [3], data: Float32Array.of(1) }], {}), { code: 'bad-argument' })
})
