import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { openNpz } from '../../node/data/array-files.ts'
import { parseNpy } from '../../node/data/npy.ts'
import { parseSafetensorsHeader } from '../../node/data/safetensors-arrays.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { f4, i8, npyFile, npzFile, safetensorsFile } from './npy-file.ts'

/** Written by NumPy: fixtures/make.py. */
const fixture = async (name: string) => openNpz(await readFile(join(import.meta.dirname, 'fixtures', name)), name)
const numbers = (values: ArrayLike<number | bigint>) => Array.from(values, Number)

t.test("NumPy's own files are read value by value, in each type, byte order, memory order and packing", async (t) => {
  for (const name of ['stored.npz', 'deflated.npz']) {
    const { names, read } = await fixture(name)
    t.equal(names.length, 31)
    const x = await read('x')
    t.strictSame(x.shape, [6, 4])
    t.strictSame(
      numbers(x.values),
      Array.from({ length: 24 }, (_, i) => i / 4),
      'Fortran order',
    )
    t.strictSame(
      numbers((await read('cube')).values),
      Array.from({ length: 24 }, (_, i) => i),
      'Fortran order in three dimensions, big-endian',
    )
    const types = ['i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8']
    for (const type of ['le_', 'be_'].flatMap((order) => types.map((code) => order + code))) {
      t.strictSame(numbers((await read(type)).values), [0, 1, 2, 100], type)
    }
    t.strictSame(numbers((await read('be_b1')).values), [0, 1, 1, 0])
    t.strictSame((await read('single')).shape, [])
    await t.rejects(read('objects'), {
      code: 'data-invalid',
      message: `"objects" of ${name} is not a usable .npy array: it holds Python objects`,
    })
  }
})

t.test('each version of the header is read, and that of Python 2', async (t) => {
  for (const version of [1, 2, 3] as const) {
    t.strictSame(numbers(parseNpy(npyFile('<f4', [2], Float32Array.of(1, -2), { version }), 'f').values), [1, -2])
  }
  const old = Buffer.from(f4([2], [1, -2]).toString('latin1').replace('(2,), }', '(2L,),}'), 'latin1')
  t.strictSame(parseNpy(old, 'f').shape, [2])
})

t.test('what is written is what is read, whatever the shape and the order in memory', async () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(shapes, fc.boolean(), (shape, fortran) => {
      const size = shape.reduce((product, dim) => product * dim, 1)
      const values = Float64Array.from({ length: size }, (_, i) => i * 1.5)
      const read = parseNpy(npyFile('<f8', shape, fortran ? columnMajor(values, shape) : values, { fortran }), 'f')
      return read.shape.join() === shape.join() && read.values.join() === values.join()
    }),
  )
})

/** The slow way: each index taken apart. */
function columnMajor(values: Float64Array, shape: readonly number[]): Float64Array {
  const out = new Float64Array(values.length)
  values.forEach((value, i) => {
    let rest = i
    const index = shape.map(() => 0)
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis]!
      rest = Math.floor(rest / shape[axis]!)
    }
    let [at, stride] = [0, 1]
    shape.forEach((dim, axis) => {
      at += index[axis]! * stride
      stride *= dim
    })
    out[at] = value
  })
  return out
}

t.test('an array that breaks the format is refused in one sentence that says where', async (t) => {
  const good = f4([2, 2], [1, 2, 3, 4])
  const changed = (from: string, to: string) => Buffer.from(good.toString('latin1').replace(from, to), 'latin1')
  const cases: [string, Buffer][] = [
    ['it is empty', Buffer.alloc(0)],
    ['it does not begin as one', Buffer.from('PK not an array')],
    ['it has version 9, and 1 to 3 are read', changed('NUMPY\x01', 'NUMPY\x09')],
    ['it ends within its header, after 9 bytes', good.subarray(0, 9)],
    ['it ends within its header, after 40 bytes', good.subarray(0, 40)],
    ['its header has 65535 bytes', Buffer.concat([good.subarray(0, 8), Buffer.of(255, 255)])],
    ['its header does not describe an array', changed("'shape'", "'shade'")],
    ["its values have the type '<c8'", changed('<f4', '<c8')],
    ["its values have the type '|S4'", changed('<f4', '|S4')],
    ['its shape is (2 2)', changed('(2, 2)', '(2 2)')],
    ['its header does not describe an array', changed('(2, 2)', '(2,-2)')],
    ['2x2 values of float32 take 16 bytes, and it has 15', good.subarray(0, -1)],
    ['take 16 bytes, and it has 17', Buffer.concat([good, Buffer.of(0)])],
    ['9999x9999 values of float32 take 399920004 bytes', f4([9999, 9999], [])],
    ['its shape is', f4(new Array(10).fill(1), [1])],
  ]
  for (const [why, bytes] of cases) {
    t.throws(() => parseNpy(bytes, '/data/x.npy'), { code: 'data-invalid', message: '/data/x.npy is not a usable .npy array: ' }, why)
    t.throws(() => parseNpy(bytes, '/data/x.npy'), { message: why })
  }
})

/** True where `read` returns or throws an error for people. */
function survives(read: () => unknown): boolean {
  try {
    read()
  } catch (error) {
    return isMurmurError(error)
  }
  return true
}

const damaged = (good: Uint8Array) =>
  fc
    .record({ cut: fc.nat(good.length), at: fc.nat(good.length - 1), byte: fc.nat(255), times: fc.nat(3) })
    .map(({ cut, at, byte, times }) => {
      const bytes = Uint8Array.from(good)
      for (let i = 0; i < times; i++) bytes[(at * (i + 1)) % bytes.length] = byte
      return bytes.subarray(0, cut % 3 === 0 ? cut : bytes.length)
    })

t.test('no bytes make the .npy reader fail in another way than by its error', async () => {
  fc.assert(
    fc.property(fc.oneof(damaged(f4([2, 3], [1, 2, 3, 4, 5, 6])), fc.uint8Array({ maxLength: 60 })), (bytes) =>
      survives(() => parseNpy(bytes, 'f')),
    ),
    { numRuns: 3000 },
  )
  const headers = fc.string({
    unit: fc.constantFrom(...`{}'()[]:,<>|=f48iub 0129LTrueFals`, 'descr', 'fortran_order', 'shape'),
    maxLength: 40,
  })
  fc.assert(
    fc.property(headers, (header) => {
      const length = Buffer.alloc(2)
      length.writeUInt16LE(Buffer.byteLength(header, 'latin1'))
      const bytes = Buffer.concat([f4([1], [1]).subarray(0, 8), length, Buffer.from(header, 'latin1')])
      return survives(() => parseNpy(bytes, 'f'))
    }),
  )
})

t.test('no damage to a .npz or .safetensors file makes its reader fail in another way than by its error', async () => {
  const good = npzFile({ x: f4([3, 2], [1, 2, 3, 4, 5, 6]), y: i8([3], [0, 1, 2]) })
  await fc.assert(
    fc.asyncProperty(damaged(good), async (bytes) => {
      try {
        const { names, read } = openNpz(bytes, 'f')
        for (const name of names) await read(name)
      } catch (error) {
        return isMurmurError(error)
      }
      return true
    }),
    { numRuns: 1000 },
  )
  const tensors = safetensorsFile({ x: ['F32', [2], Float32Array.of(1, 2)], y: ['I64', [2], BigInt64Array.of(0n, 1n)] })
  fc.assert(
    fc.property(damaged(tensors), (bytes) =>
      survives(() => {
        const { names, describe } = parseSafetensorsHeader(bytes, bytes.length, 'f')
        for (const name of names) describe(name)
      }),
    ),
    { numRuns: 3000 },
  )
})

t.test('a .npz file that claims more than it can hold is refused before anything is unpacked', async (t) => {
  const zip = Buffer.from(npzFile({ x: f4([1000], new Array(1000).fill(0)) }))
  const entry = zip.indexOf('PK\x01\x02', 0, 'latin1')
  const claimed = (bytes: number) => {
    const copy = Buffer.from(zip)
    copy.writeUInt32LE(bytes, entry + 24)
    return openNpz(copy, 'bomb.npz')
  }
  await t.rejects(claimed(3e9).read('x'), { code: 'limit-exceeded', message: '"x" of bomb.npz has 3000000000 bytes; at most' })
  await t.rejects(claimed(2e9).read('x'), { code: 'data-invalid', message: 'its sizes contradict each other' })
  t.throws(() => openNpz(new Uint8Array(), 'none.npz'), { code: 'data-invalid', message: 'none.npz is empty.' })
  t.throws(() => openNpz(Buffer.from('not a zip file, but long enough to be one'), 'text.npz'), {
    code: 'data-invalid',
    message: 'text.npz cannot be unpacked (invalid zip data); save it again.',
  })
})
