import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { type LoadOptions, loadData, proposeSchema } from '../../node/data/load.ts'
import type { DataSchema, ModelHints, Selection } from '../../node/data/spec.ts'
import { f4, i8, npyFile, npzFile, safetensorsFile, u1 } from './npy-file.ts'

const options: LoadOptions = { validation: 0, seed: 1 }
const floatModel: ModelHints = { input: 'float32', inputShape: [null], target: 'class' }
const FIXTURES = join(import.meta.dirname, 'fixtures')
const whole = (length: number) => Array.from({ length }, (_, i) => i)

/** Proposes a schema and loads what it describes. */
async function use(spec: string, hints: ModelHints, selection: Selection = {}, more: Partial<LoadOptions> = {}) {
  const schema = await proposeSchema(spec, selection, hints)
  return { schema, ...(await loadData(spec, schema, { ...options, selection, ...more })) }
}

t.test("arrays of NumPy's .npz files are inputs and classes, with the test set beside them", async (t) => {
  for (const name of ['stored.npz', 'deflated.npz']) {
    const { schema, train, test, classes } = await use(join(FIXTURES, name), { ...floatModel, inputShape: [4] }, {}, { withTest: true })
    t.strictSame(schema, {
      input: { dtype: 'float32', shape: [4], scale: 1, offset: 0 },
      target: { kind: 'class', size: 3, shape: [] },
    })
    t.strictSame(
      train.x,
      Float32Array.from(whole(24), (i) => i / 4),
    )
    t.ok(train.x.buffer instanceof SharedArrayBuffer && train.y.buffer instanceof SharedArrayBuffer)
    t.strictSame(train.y, Int32Array.of(0, 1, 2, 0, 1, 2))
    t.strictSame(classes, [2, 2, 2])
    t.strictSame([test?.samples, test?.x.length, [...test!.y]], [2, 8, [2, 0]], 'one label in a row of its own is a label')
  }
})

t.test('the same arrays are the same data as .npz, as .npy files and as .safetensors', async (t) => {
  const [x, y] = [Float32Array.from(whole(12)), BigInt64Array.of(1n, 0n, 1n)]
  const dir = t.testdir({
    'all.npz': Buffer.from(npzFile({ x: npyFile('<f4', [3, 4], x), y: npyFile('<i8', [3], y) })),
    'all.safetensors': safetensorsFile({ x: ['F32', [3, 4], x], y: ['I64', [3], y] }),
    apart: { 'x.npy': npyFile('<f4', [3, 4], x), 'y.npy': npyFile('<i8', [3], y) },
  })
  const all = []
  for (const name of ['all.npz', 'all.safetensors', 'apart', join('apart', 'x.npy')]) {
    const { summary, ...rest } = await use(join(dir, name), floatModel)
    all.push(rest)
    t.match(summary, `${name}, 3 samples to train on, 0 to validate with`)
  }
  t.strictSame(all[0]?.train, { x, y: Int32Array.of(1, 0, 1), samples: 3 })
  for (const other of all.slice(1)) t.strictSame(other, all[0])
})

t.test('arrays may have other names, and a test set is found by them', async (t) => {
  const arrays = { x_train: f4([3, 1], [1, 2, 3]), y_train: i8([3], [0, 1, 0]), x_test: f4([1, 1], [9]), y_test: i8([1], [1]) }
  const dir = t.testdir({
    'keras.npz': Buffer.from(npzFile(arrays)),
    folder: { 'images.npy': f4([2, 1], [5, 6]), 'kinds.npy': u1([2], [1, 0]) },
  })
  const { train, test } = await use(join(dir, 'keras.npz'), floatModel, { input: 'x_train', label: 'y_train' }, { withTest: true })
  t.strictSame([[...train.x], [...test!.x], [...test!.y]], [[1, 2, 3], [9], [1]])
  const { train: folder } = await use(join(dir, 'folder'), floatModel, { input: 'images', label: 'kinds' })
  t.strictSame(
    [[...folder.x], [...folder.y]],
    [
      [5, 6],
      [1, 0],
    ],
  )
  await t.rejects(use(join(dir, 'keras.npz'), floatModel), {
    code: 'data-missing',
    message: `${dir}/keras.npz holds no array "x" but x_train, y_train, x_test, y_test; name the one to use with --input.`,
  })
  await t.rejects(use(join(dir, 'folder'), floatModel, { input: 'images' }), {
    message: 'holds no array "y" but images, kinds; name the one',
  })
})

t.test('images in bytes become 0 to 1 in the model, other bytes are numbers as they are', async (t) => {
  const y = u1([2], [0, 1])
  const dir = t.testdir({
    'images.npz': Buffer.from(npzFile({ x: u1([2, 2, 2], [0, 51, 102, 255, 1, 2, 3, 4]), y })),
    'rows.npz': Buffer.from(npzFile({ x: u1([2, 3], [0, 51, 102, 1, 2, 3]), y })),
    'flags.npz': Buffer.from(npzFile({ x: npyFile('|b1', [2, 1, 2], Uint8Array.of(0, 1, 1, 0)), y })),
  })
  const images = await use(join(dir, 'images.npz'), { ...floatModel, inputShape: [1, 2, 2] })
  t.strictSame(images.schema.input, { dtype: 'uint8', shape: [1, 2, 2], scale: 1 / 255, offset: 0 })
  t.strictSame(images.train.x, Uint8Array.of(0, 51, 102, 255, 1, 2, 3, 4))
  t.match(images.summary, 'images.npz (bytes as 0 to 1), 2 samples')
  const rows = await use(join(dir, 'rows.npz'), floatModel)
  t.strictSame([rows.schema.input.dtype, rows.train.x], ['float32', Float32Array.of(0, 51, 102, 1, 2, 3)])
  const flags = await use(join(dir, 'flags.npz'), floatModel)
  t.strictSame([flags.schema.input.dtype, flags.train.x], ['float32', Float32Array.of(0, 1, 1, 0)])
})

t.test('a peer whose images have another integer type still fits, if they are bytes', async (t) => {
  const schema: DataSchema = { input: { dtype: 'uint8', shape: [2], scale: 1, offset: 0 }, target: { kind: 'class', size: 2, shape: [] } }
  const dir = t.testdir({
    'good.npz': Buffer.from(npzFile({ x: i8([1, 2], [0, 255]), y: u1([1], [1]) })),
    'bad.npz': Buffer.from(npzFile({ x: i8([1, 2], [0, 256]), y: u1([1], [1]) })),
    'float.npz': Buffer.from(npzFile({ x: f4([1, 2], [0, 1]), y: u1([1], [1]) })),
  })
  t.strictSame((await loadData(join(dir, 'good.npz'), schema, options)).train.x, Uint8Array.of(0, 255))
  await t.rejects(loadData(join(dir, 'bad.npz'), schema, options), {
    code: 'data-invalid',
    message: 'holds 256 as value 1, but the task takes bytes',
  })
  await t.rejects(loadData(join(dir, 'float.npz'), schema, options), { message: 'holds float32 values, but the task takes uint8.' })
})

t.test('numbers turn into what the model and its loss take, or it is said why they cannot', async (t) => {
  const dir = t.testdir({
    'ids.npz': Buffer.from(npzFile({ x: f4([2, 2], [3, 4, 5, 6]), y: f4([2], [1, 0]) })),
    'parts.npz': Buffer.from(npzFile({ x: f4([2, 2], [3, 4.5, 5, 6]), y: f4([2], [1, 0.5]) })),
    'large.npz': Buffer.from(npzFile({ x: i8([1, 1], [2 ** 40]), y: i8([1], [0]) })),
  })
  const idModel: ModelHints = { ...floatModel, input: 'int64' }
  const { train, schema } = await use(join(dir, 'ids.npz'), idModel)
  t.strictSame([schema.input.dtype, train.x, train.y], ['int64', Int32Array.of(3, 4, 5, 6), Int32Array.of(1, 0)])
  const numbers = await use(join(dir, 'parts.npz'), { ...floatModel, target: 'number' })
  t.strictSame(numbers.train.y, Float32Array.of(1, 0.5))
  t.strictSame(numbers.schema.target, { kind: 'number', size: 1, shape: [] })
  const counts = await use(join(dir, 'large.npz'), { ...floatModel, target: 'number' })
  t.strictSame([[...counts.train.x], [...counts.train.y]], [[2 ** 40], [0]])
  await t.rejects(use(join(dir, 'parts.npz'), { ...idModel, target: 'number' }), { message: '"x" of' })
  await t.rejects(use(join(dir, 'parts.npz'), floatModel), { message: 'holds 0.5 in sample 1, but whole numbers of 32 bits are needed.' })
  await t.rejects(use(join(dir, 'large.npz'), idModel), { message: 'holds 1099511627776 in sample 0, but whole numbers' })
})

t.test('several labels a sample are yes and no, numbers, or tokens of which negative ones are not learned', async (t) => {
  const x = i8([2, 2], [0, 1, 2, 0])
  const y = i8([2, 2], [1, -100, 0, 1])
  const dir = t.testdir({ 'a.npz': Buffer.from(npzFile({ x, y, z: f4([2, 3], [0, 1, 1, 0, 0, 1]) })) })
  const tokens = await use(join(dir, 'a.npz'), { input: 'int64', inputShape: [null], target: 'tokens', classes: 5 })
  t.strictSame(tokens.schema.target, { kind: 'tokens', size: 5, shape: [2] })
  t.strictSame(tokens.train.y, Int32Array.of(1, -100, 0, 1))
  t.strictSame(tokens.classes, [])
  const labels = await use(join(dir, 'a.npz'), { ...floatModel, target: 'binary' }, { label: 'z' })
  t.strictSame(labels.schema.target, { kind: 'binary', size: 3, shape: [3] })
  t.strictSame(labels.train.y, Float32Array.of(0, 1, 1, 0, 0, 1))
  const refused = async (hints: ModelHints, message: string) => t.rejects(use(join(dir, 'a.npz'), hints), { code: 'data-invalid', message })
  await refused({ ...floatModel, target: 'binary' }, 'holds label -100 for sample 0, but the task takes 0 and 1.')
  await refused(floatModel, 'must hold one whole number a sample, and its shape is 2x2.')
  await refused({ ...floatModel, target: 'tokens', classes: 1 }, "holds token 1 for sample 0, but the task's tokens go from 0 to 0.")
})

t.test('a model that gives its input back has as labels what it sees', async (t) => {
  const bytes = Buffer.from(npzFile({ x: u1([2, 1, 2], [0, 51, 102, 255]) }))
  const dir = t.testdir({ 'a.npz': bytes })
  const { schema, train, classes } = await use(
    join(dir, 'a.npz'),
    { ...floatModel, target: 'number', inputShape: [1, 1, 2] },
    { input: 'x', label: 'x' },
  )
  t.strictSame(schema.target, { kind: 'number', size: 2, shape: [1, 1, 2] })
  t.strictSame(train.x, Uint8Array.of(0, 51, 102, 255))
  t.strictSame(
    train.y,
    Float32Array.from([0, 51, 102, 255], (value) => value / 255),
  )
  t.strictSame(classes, [])
})

t.test('samples fit a model that lays them out otherwise, unless their dimensions are in another order', async (t) => {
  const y = u1([1], [0])
  const dir = t.testdir({ 'a.npz': Buffer.from(npzFile({ x: f4([1, 2, 2, 3], new Array(12).fill(1)), y })) })
  const shapeFor = async (inputShape: ModelHints['inputShape']) =>
    (await proposeSchema(join(dir, 'a.npz'), {}, { ...floatModel, inputShape })).input.shape
  t.strictSame(await shapeFor([2, 2, 3]), [2, 2, 3])
  t.strictSame(await shapeFor([null, null, 3]), [2, 2, 3])
  t.strictSame(await shapeFor([12]), [12])
  t.strictSame(await shapeFor([null]), [12])
  t.strictSame(await shapeFor([1, null, 3]), [1, 4, 3])
  const refused = async (inputShape: ModelHints['inputShape'], message: string) =>
    t.rejects(shapeFor(inputShape), { code: 'data-invalid', message })
  await refused([3, 2, 2], 'holds samples of 2x2x3, but the model takes 3x2x2: transpose them.')
  await refused([null, 2, 2], 'holds samples of 2x2x3, but the model takes ?x2x2: transpose them.')
  await refused([5], 'holds samples of 2x2x3, but the model takes 5.')
  await refused([null, 5], 'holds samples of 2x2x3, but the model takes ?x5.')
  await refused([null, null], 'holds samples of 2x2x3, but the model takes ?x?.')
})

t.test('arrays that do not belong together are refused in one sentence', async (t) => {
  const dir = t.testdir({ 'x.npz': { 'not a file': '' } })
  const path = join(dir, 'a.npz')
  const refused = async (x: Buffer, y: Buffer, message: string, hints = floatModel) => {
    await writeFile(path, npzFile({ x, y }))
    await t.rejects(use(path, hints), { code: 'data-invalid', message })
  }
  const x = f4([2, 1], [1, 2])
  await refused(x, u1([3], [0, 1, 2]), `"x" of ${path} holds 2 samples, but "y" of ${path} 3 labels.`)
  await refused(x, u1([2], [0, 5]), "holds label 5 for sample 1, but the task's classes go from 0 to 2.", { ...floatModel, classes: 3 })
  await refused(x, i8([2], [0, -1]), 'holds label -1 for sample 1')
  await refused(f4([2, 1], [1, Number.NaN]), u1([2], [0, 1]), 'holds NaN as value 1; remove or replace it.')
  await refused(x, f4([2], [1, Number.POSITIVE_INFINITY]), 'holds Infinity as value 1', { ...floatModel, target: 'number' })
  await refused(f4([0, 4], []), u1([0], []), 'holds nothing (0x4).')
  await refused(f4([], [1]), u1([1], [0]), 'is a single value, not an array with one row a sample.')
  await t.rejects(use(join(dir, 'none.npz'), floatModel), { code: 'data-missing', message: 'There is no data at' })
  await t.rejects(use(join(dir, 'x.npz'), floatModel), { code: 'data-missing', message: 'holds no IDX files' })
  await mkdir(join(dir, 'pair'))
  await writeFile(join(dir, 'pair', 'x.npy'), x)
  await t.rejects(use(join(dir, 'pair'), floatModel), {
    code: 'data-missing',
    message: 'holds no array "y" but x; name the one to use with --label.',
  })
})

t.test('a .safetensors file of any number type is read, and a damaged one refused', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'a.safetensors')
  const y: [string, number[], ArrayBufferView] = ['U8', [2], Uint8Array.of(1, 0)]
  const types: [string, ArrayBufferView][] = [
    ['F16', Float16Array.of(1, -2)],
    ['F64', Float64Array.of(1, -2)],
    ['I8', Int8Array.of(1, -2)],
    ['I16', Int16Array.of(1, -2)],
    ['I32', Int32Array.of(1, -2)],
    ['I64', BigInt64Array.of(1n, -2n)],
  ]
  for (const [type, values] of types) {
    await writeFile(path, safetensorsFile({ x: [type, [2, 1], values], y }))
    t.strictSame((await use(path, floatModel)).train.x, Float32Array.of(1, -2), type)
  }
  const refused = async (bytes: Uint8Array, message: string) => {
    await writeFile(path, bytes)
    await t.rejects(use(path, floatModel), { code: 'data-invalid', message: `${path} is not a usable safetensors file: ${message}` })
  }
  const good = safetensorsFile({ x: ['F32', [2, 1], Float32Array.of(1, 2)], y })
  await refused(Buffer.alloc(0), 'it is empty')
  await refused(good.subarray(0, 7), 'it has only 7 bytes')
  await refused(good.subarray(0, 20), 'its header of')
  await refused(good.subarray(0, -1), '"y" lies at bytes 8 to 10, and 2 values of uint8 take 2')
  await refused(safetensorsFile({ x: ['BF16', [2, 1], Float32Array.of(1)], y }), '"x" has the type "BF16", and BOOL, U8')
  await refused(Buffer.from('\x02\0\0\0\0\0\0\0[]'), 'its header is not a JSON object')
  await refused(Buffer.from('\x02\0\0\0\0\0\0\0{x'), 'its header is not JSON')
})
