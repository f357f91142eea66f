import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { loadData, proposeSchema } from '../../node/data/load.ts'
import type { Selection } from '../../node/data/spec.ts'
import { anyCodePoint } from '../helpers/any-text.ts'
import { CSV, model, options, parquet, use } from './table-file.ts'

const rows = [
  [20, 'red', true, 'well'],
  [30, 'blue', false, 'ill'],
  [40, 'red', true, 'well'],
]
const JSON_LINES = rows.map(([age, color, smokes, label]) => JSON.stringify({ age, color, smokes, label })).join('\n')

/** The rows of a set as arrays. */
const rowsOf = ({ x, samples }: { x: ArrayLike<number>; samples: number }) =>
  Array.from({ length: samples }, (_, i) => Array.from(x).slice((i * x.length) / samples, ((i + 1) * x.length) / samples))

t.test('numbers are standardised, text becomes zeros and a one, and what a label is called is agreed', async (t) => {
  const path = join(t.testdir({ 'a.csv': CSV }), 'a.csv')
  const { schema, train, classes, summary } = await use(path, model)
  t.strictSame(schema, {
    input: { dtype: 'float32', shape: [4], scale: 1, offset: 0 },
    target: { kind: 'class', size: 2, shape: [], names: ['ill', 'well'] },
    columns: [
      { name: 'age', kind: 'number', mean: 30, deviation: 10 },
      { name: 'color', kind: 'category', categories: ['blue', 'red'], encoding: 'one-hot' },
      { name: 'smokes', kind: 'number', mean: 0, deviation: 1 },
      { name: 'label', kind: 'label' },
    ],
  })
  t.strictSame(rowsOf(train), [
    [-1, 0, 1, 1],
    [0, 1, 0, 0],
    [1, 0, 1, 1],
  ])
  t.strictSame(train.y, Int32Array.of(1, 0, 1))
  t.strictSame(classes, [1, 2])
  t.ok(train.x.buffer instanceof SharedArrayBuffer && train.y.buffer instanceof SharedArrayBuffer)
  t.match(summary, 'a.csv, 3 samples to train on, 0 to validate with')
})

t.test('the same table is the same data in every format', async (t) => {
  const dir = t.testdir({
    'a.csv': CSV,
    'crlf.csv': CSV.replaceAll('\n', '\r\n'),
    'bom.csv': `\ufeff${CSV}`,
    'quoted.csv': CSV.replaceAll(/\w+/g, '"$&"'),
    'semicolon.csv': CSV.replaceAll(',', ';'),
    'a.tsv': CSV.replaceAll(',', '\t'),
    'A.CSV.GZ': gzipSync(CSV),
    'a.jsonl': JSON_LINES,
    'a.ndjson': JSON_LINES,
  })
  const values = rows.map(([age, color, smokes, label]) => `(${age}, '${color}', ${smokes}, '${label}')`).join(', ')
  await parquet(join(dir, 'a.parquet'), `SELECT * FROM (VALUES ${values}) AS v(age, color, smokes, label)`)
  const { summary: _, ...wanted } = await use(join(dir, 'a.csv'), model)
  for (const name of ['crlf.csv', 'bom.csv', 'quoted.csv', 'semicolon.csv', 'a.tsv', 'A.CSV.GZ', 'a.jsonl', 'a.ndjson', 'a.parquet']) {
    const { summary, ...found } = await use(join(dir, name), model)
    t.strictSame(found, wanted, name)
  }
})

t.test('a peer reads its own table by what was agreed: other columns, another order, another format', async (t) => {
  const dir = t.testdir({
    'founder.csv': CSV,
    'peer.jsonl':
      '{"note": [1], "label": "ill", "smokes": "TRUE", "color": "red", "age": "50"}\n{"label": "well", "smokes": 0, "color": "blue", "age": 20.5}',
  })
  const schema = await proposeSchema(join(dir, 'founder.csv'), {}, model)
  const { train } = await loadData(join(dir, 'peer.jsonl'), schema, options)
  t.strictSame(rowsOf(train), [
    [2, 0, 1, 1],
    [-0.949999988079071, 1, 0, 0],
  ])
  t.strictSame(train.y, Int32Array.of(0, 1))
})

t.test('a category is its number where the model has one input a column, or takes integers', async (t) => {
  const path = join(t.testdir({ 'a.csv': CSV }), 'a.csv')
  const { schema, train } = await use(path, { ...model, inputShape: [3] })
  t.strictSame(schema.input.shape, [3])
  t.strictSame(schema.columns?.[1], { name: 'color', kind: 'category', categories: ['blue', 'red'], encoding: 'code' })
  t.strictSame(rowsOf(train), [
    [-1, 1, 1],
    [0, 0, 0],
    [1, 1, 1],
  ])
  const ids = await use(path, { ...model, input: 'int64' })
  t.strictSame(ids.train.x, Int32Array.of(20, 1, 1, 30, 0, 0, 40, 1, 1), 'nothing that is looked up is standardised')
  t.strictSame((await use(path, { ...model, inputShape: [1, 4] })).schema.input.shape, [1, 4])
  await t.rejects(use(path, { ...model, inputShape: [7] }), {
    code: 'data-invalid',
    message: `${path} gives 3 columns, or 4 numbers with each category as one of its own, but the model takes 7; choose columns`,
  })
  await t.rejects(use(path, { ...model, inputShape: [7] }, { input: 'age' }), { message: `${path} gives 1 numbers, but the model takes 7` })
})

t.test('columns are chosen by name, one of which may hold a comma', async (t) => {
  const path = join(t.testdir({ 'a.csv': '"a, b",c,d\n1,2,0\n3,4,1\n' }), 'a.csv')
  const chosen = async (selection: Selection) => (await use(path, { ...model, target: 'number' }, selection)).schema
  t.strictSame(
    (await chosen({ label: 'd' })).columns?.map(({ name }) => name),
    ['a, b', 'c', 'd'],
  )
  t.strictSame(
    (await chosen({ input: 'a, b', label: 'c' })).columns?.map(({ name }) => name),
    ['a, b', 'c'],
  )
  const two = await chosen({ input: 'a, b', label: 'c, d' })
  t.strictSame(two.target, { kind: 'number', size: 2, shape: [2] })
  t.strictSame([...(await loadData(path, two, options)).train.y], [2, 0, 4, 1])
  const refused = async (selection: Selection, message: string) => t.rejects(chosen(selection), { code: 'data-invalid', message })
  await refused({}, `${path} has no column named label, target, class, y; say with --label which one to predict: a, b, c, d.`)
  await refused({ label: 'e' }, `${path} has no column e; it has a, b, c, d.`)
  await refused({ input: 'e,f', label: 'c' }, `${path} has no columns e, f; it has a, b, c, d.`)
  await refused({ input: 'c', label: 'c,d' }, `Column "c" of ${path} is named both as an input and as the label`)
  t.strictSame(
    (await use(path, { ...model, target: 'number' }, { input: 'c,d', label: 'c,d' })).train.y,
    Float32Array.of(-Math.SQRT1_2, -Math.SQRT1_2, Math.SQRT1_2, Math.SQRT1_2),
    'input and label alike: what the model sees is what it gives back',
  )
})

t.test('class labels that are numbers are ids where they count from 0, and names where they do not', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'a.csv')
  const target = async (labels: unknown[], classes?: number) => {
    await writeFile(path, `x,y\n${labels.map((label, i) => `${i},${label}\n`).join('')}`)
    const { schema, train } = await use(path, { ...model, classes })
    return { ...schema.target, y: [...train.y] }
  }
  const base = { kind: 'class', shape: [] }
  t.strictSame(await target([0, 2, 1]), { ...base, size: 3, y: [0, 2, 1] })
  t.strictSame(await target([0, 2], 3), { ...base, size: 3, y: [0, 2] })
  t.strictSame(await target(['true', 'false']), { ...base, size: 2, y: [1, 0] })
  t.strictSame(await target([10, 2, 10]), { ...base, size: 2, names: ['2', '10'], y: [1, 0, 1] })
  t.strictSame(await target([-1, 1.0], 2), { ...base, size: 2, names: ['-1', '1'], y: [0, 1] })
  t.strictSame(await target(['b', 'a'], 5), { ...base, size: 5, names: ['a', 'b'], y: [1, 0] })
  await t.rejects(target([0, 1, 2], 2), { code: 'data-invalid', message: 'holds "2" in row 3, which is not one of the 2 classes' })
  await t.rejects(target(['a', 'b', 'c'], 2), { message: 'holds 3 classes (a, b, c), but the model tells 2 apart.' })
  await t.rejects(target([0, 0.5]), { message: 'holds "0.5" in row 2, which is not a whole number, as classes are.' })
  await target([1, 2, 3], 3)
  const named = await proposeSchema(path, {}, { ...model, classes: 3 })
  await writeFile(path, 'x,y\n0,3.0\n1,01\n')
  t.strictSame([...(await loadData(path, named, options)).train.y], [2, 0], 'however a number is written')
})

t.test('a label may be yes or no, or a number in its own unit', async (t) => {
  const path = join(t.testdir({ 'a.csv': 'x,y,z\n1,no,2.5\n2,yes,-7\n4,no,0\n' }), 'a.csv')
  const yes = await use(path, { ...model, target: 'binary' }, { input: 'x' })
  t.strictSame(yes.schema.target, { kind: 'binary', size: 1, shape: [], names: ['no', 'yes'] })
  t.strictSame([yes.train.y, yes.classes], [Float32Array.of(0, 1, 0), [2, 1]])
  const number = await use(path, { ...model, target: 'number' }, { input: 'x', label: 'z' })
  t.strictSame([number.schema.target, number.train.y], [{ kind: 'number', size: 1, shape: [] }, Float32Array.of(2.5, -7, 0)])
  await t.rejects(use(path, { ...model, target: 'number' }), { message: 'holds "no" in row 1, which is not a number.' })
  await t.rejects(use(path, { ...model, target: 'binary' }, { label: 'z' }), { message: 'holds "2.5" in row 1, which is not 0 or 1.' })
  await t.rejects(use(path, { ...model, target: 'class' }, { label: 'y,z' }), {
    message: 'is to give 2 labels, but the model predicts one class',
  })
  await t.rejects(use(path, { ...model, target: 'tokens' }), { message: 'is a table, but the model predicts a token at each position' })
})

t.test('a column without spread is left at its distance from the mean, as is a table of one row', async (t) => {
  const dir = t.testdir({ 'same.csv': 'a,y\n0.1,0\n0.1,1\n0.1,1\n', 'one.csv': 'a,y\n5,0\n' })
  const { schema, train } = await use(join(dir, 'same.csv'), model)
  t.strictSame(schema.columns?.[0], { name: 'a', kind: 'number', mean: 0.1, deviation: 1 })
  t.strictSame([...train.x], [0, 0, 0])
  t.equal((await use(join(dir, 'one.csv'), model)).schema.columns?.[0]?.deviation, 1)
})

t.test('types of Parquet are numbers, flags or text, whatever their width', async (t) => {
  const path = join(t.testdir(), 'a.parquet')
  const types = ['TINYINT', 'USMALLINT', 'INTEGER', 'UBIGINT', 'HUGEINT', 'FLOAT', 'DOUBLE', 'DECIMAL(10, 2)']
  const columns = types.map((type, i) => `(v + ${i})::${type} AS c${i}`).join(', ')
  await parquet(path, `SELECT ${columns}, v > 1 AS flag, DATE '2024-01-01' + v AS day, v AS label FROM (VALUES (0), (1), (2)) AS t(v)`)
  const { schema, train } = await use(path, { ...model, inputShape: [10] })
  t.strictSame(
    schema.columns?.slice(0, 8).map(({ mean, deviation }) => [mean, deviation]),
    types.map((_, i) => [1 + i, 1]),
  )
  t.strictSame(schema.columns?.[9]?.categories, ['2024-01-01', '2024-01-02', '2024-01-03'])
  t.strictSame(rowsOf(train)[2], [1, 1, 1, 1, 1, 1, 1, 1, 1, 2])
})

t.test('rows keep their order and their labels in a table of many chunks', async (t) => {
  const path = join(t.testdir(), 'a.parquet')
  await parquet(path, 'SELECT i AS a, i % 7 AS label FROM range(20000) AS r(i)')
  const { schema, train } = await use(path, { ...model, classes: 7 })
  const { mean, deviation } = schema.columns![0] as { mean: number; deviation: number }
  t.ok(train.x.every((value, i) => Math.abs(value - (i - mean) / deviation) < 1e-6))
  t.ok(train.y.every((label, i) => label === i % 7))
})

t.test('every text comes back as the category that it is, whatever characters it holds', async (t) => {
  const path = join(t.testdir(), 'a.csv')
  const texts = fc.uniqueArray(
    fc.string({ unit: anyCodePoint, minLength: 1, maxLength: 8 }).filter((text) => /^[^\0\p{Cs}]*$/u.test(text)),
    {
      minLength: 2,
      maxLength: 12,
    },
  )
  await fc.assert(
    fc.asyncProperty(texts, async (list) => {
      const field = (text: string) => `"${text.replaceAll('"', '""')}"`
      await writeFile(path, `text,label\n${list.map((text, i) => `${field(`_${text}`)},${i}\n`).join('')}`)
      const { schema, train } = await use(path, { ...model, inputShape: [1], classes: list.length })
      const { categories } = schema.columns![0]!
      return list.every((text, i) => categories?.[train.x[train.y.indexOf(i)]!] === `_${text}`)
    }),
    { numRuns: 5 },
  )
})
