// Data larger than the memory it may take: windows that are filled again and again, whatever file they come from.
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { type LoadedData, type LoadOptions, loadData, proposeSchema } from '../../node/data/load.ts'
import type { DataSchema, DataSet, ModelHints, Selection } from '../../node/data/spec.ts'
import type { WindowOptions } from '../../node/data/stream.ts'
import { planStream } from '../../node/data/stream-plan.ts'
import { idxFile } from './idx-file.ts'
import { f4, i8, npyFile, npzFile, safetensorsFile } from './npy-file.ts'
import { parquet } from './table-file.ts'

const SAMPLES = 1000
const BATCH = 8
const SIZE = 4
/** Bytes of a sample of SIZE floats and its label. */
const BYTES = 4 * SIZE + 4
/** A tenth of the data. */
const window: WindowOptions = { bytes: (SAMPLES * BYTES) / 10, batchSize: BATCH }
/** Of what validates, no more than an eighth of the memory holds is kept. */
const options: LoadOptions = { validation: 0.02, seed: 1, window }
const regression: ModelHints = { input: 'float32', inputShape: [SIZE], target: 'number' }

/** Sample n is [n, n + 0.25, ...], and its label 2 n. */
const inputs = Array.from({ length: SAMPLES * SIZE }, (_, i) => Math.floor(i / SIZE) + (i % SIZE) / 4)
const labels = Array.from({ length: SAMPLES }, (_, i) => 2 * i)

const npyFolder = (t: Test) => t.testdir({ 'x.npy': f4([SAMPLES, SIZE], inputs), 'y.npy': i8([SAMPLES], labels) })
const ascending = (values: Iterable<number>) => [...values].sort((a, b) => a - b)
const everyNumber = Array.from({ length: SAMPLES }, (_, i) => i)

async function load(spec: string, change: Partial<LoadOptions> = {}, hints = regression, selection: Selection = {}) {
  const schema = await proposeSchema(spec, selection, hints)
  return { schema, ...(await loadData(spec, schema, { ...options, selection, ...change })) }
}

/** Numbers of samples, after a look at whether each has its own values and label. */
function numbersOf(t: Test, { x, y }: DataSet, samples: number): number[] {
  const numbers = Array.from({ length: samples }, (_, i) => y[i]! / 2)
  const whole = numbers.every((n, i) => Array.from({ length: SIZE }, (_, k) => x[i * SIZE + k] === n + k / 4).every(Boolean))
  t.ok(whole, 'each sample with its own values and label')
  return numbers
}

async function passOf(t: Test, { train, stream }: LoadedData, pass: number): Promise<number[]> {
  const all: number[] = []
  for (let i = 0; i < stream!.windows; i++) all.push(...numbersOf(t, train, await stream!.load(pass * stream!.windows + i)))
  return all
}

t.test('each pass gives every sample once, in an order of its own, and never one that validates', async (t) => {
  const data = await load(npyFolder(t))
  t.teardown(() => data.close?.())
  const { train, validation, stream, summary, classes } = data
  t.ok(stream)
  t.match(summary, /988 samples to train on, 12 to validate with; read in parts of 40$/)
  t.strictSame(classes, [])
  const kept = numbersOf(t, validation, validation.samples)
  const [first, second] = [await passOf(t, data, 0), await passOf(t, data, 1)]
  t.strictSame(ascending([...first, ...kept]), everyNumber)
  t.strictSame(ascending([...second, ...kept]), everyNumber)
  t.notSame(first, second)
  t.equal(stream!.windowSamples % BATCH, 0)
  t.ok(train.x.buffer instanceof SharedArrayBuffer)
  const held = [train, train, validation].reduce((sum, { x, y }) => sum + x.byteLength + y.byteLength, 0)
  t.ok(held <= window.bytes, 'a window, the next one and what validates are no larger than they may be')
})

t.test('seed and number alone decide what a window holds: a restart goes on anywhere, and another seed goes elsewhere', async (t) => {
  const dir = npyFolder(t)
  const one = await load(dir)
  const pass = await passOf(t, one, 3)
  await one.close?.()
  const again = await load(dir)
  const at = 3 * again.stream!.windows + 4
  const begin = 4 * again.stream!.windowSamples
  t.strictSame(numbersOf(t, again.train, await again.stream!.load(at)), pass.slice(begin, begin + again.stream!.windowSamples))
  // Asked for at once, they come one after the other.
  const both = await Promise.all([again.stream!.load(1), again.stream!.load(again.stream!.windows - 1)])
  t.strictSame(numbersOf(t, again.train, both[1]).length, both[1])
  await again.close?.()
  const other = await load(dir, { seed: 2 })
  t.notSame(await passOf(t, other, 3), pass)
  t.notSame([...other.validation.y], [...one.validation.y])
  await other.close?.()
})

t.test('unshuffled, samples come as they lie in the file', async (t) => {
  const data = await load(npyFolder(t), { validation: 0, window: { ...window, shuffle: false } })
  t.strictSame(await passOf(t, data, 0), everyNumber)
  t.equal(data.validation.samples, 0)
  await data.close?.()
})

t.test('parts of several peers share nothing, whatever memory each has; a part that fits is held as it is', async (t) => {
  const dir = npyFolder(t)
  const all: number[] = []
  for (const [index, bytes] of [window.bytes, 2 * window.bytes, SAMPLES * BYTES - 1].entries()) {
    const shard = { index, of: 3, alpha: 0.5, seed: 7 }
    const data = await load(dir, { shard, window: { ...window, bytes } })
    t.match(data.summary, `part ${index + 1} of 3 (even; `)
    t.equal(data.stream === undefined, index === 2)
    const trained = data.stream === undefined ? numbersOf(t, data.train, data.train.samples) : await passOf(t, data, 0)
    all.push(...trained, ...numbersOf(t, data.validation, data.validation.samples))
    await data.close?.()
  }
  t.strictSame(ascending(all), everyNumber)
})

t.test('data that fits is loaded as if there were no limit', async (t) => {
  const dir = npyFolder(t)
  const schema = await proposeSchema(dir, {}, regression)
  const limited = await loadData(dir, schema, { ...options, window: { ...window, bytes: SAMPLES * BYTES } })
  t.strictSame(limited, await loadData(dir, schema, { ...options, window: undefined }))
  t.equal(limited.stream, undefined)
})

t.test('all files that can be read in parts, or laid out beside, give the same samples', async (t) => {
  const dir = t.testdir()
  const rows = everyNumber.map((n) => [n, n + 0.25, n + 0.5, n + 0.75, 2 * n])
  const names = ['a', 'b', 'c', 'd', 'y']
  const csv = [names, ...rows].map((row) => row.join(',')).join('\n')
  const json = rows.map((row) => JSON.stringify(Object.fromEntries(row.map((value, i) => [names[i], value])))).join('\n')
  await writeFile(
    join(dir, 'x.safetensors'),
    safetensorsFile({ x: ['F32', [SAMPLES, SIZE], Float32Array.from(inputs)], y: ['I64', [SAMPLES], BigInt64Array.from(labels, BigInt)] }),
  )
  await writeFile(join(dir, 'x.csv'), csv)
  await writeFile(join(dir, 'x.jsonl'), json)
  await parquet(join(dir, 'x.parquet'), `FROM read_csv('${join(dir, 'x.csv')}')`)
  const idx = join(dir, 'idx')
  await mkdir(idx)
  await writeFile(join(idx, 'images.idx2-float'), idxFile(13, [SAMPLES, SIZE], inputs))
  await writeFile(join(idx, 'labels.idx1-float'), idxFile(13, [SAMPLES], labels))
  for (const spec of ['x.safetensors', 'x.csv', 'x.jsonl', 'x.parquet', 'idx']) {
    const schema = await proposeSchema(join(dir, spec), {}, regression)
    // As they are, not standardised, so that each can be told.
    for (const column of schema.columns ?? []) if (column.kind === 'number') Object.assign(column, { mean: 0, deviation: 1 })
    const data = await loadData(join(dir, spec), schema, options)
    t.ok(data.stream, spec)
    t.strictSame(ascending([...(await passOf(t, data, 0)), ...numbersOf(t, data.validation, data.validation.samples)]), everyNumber, spec)
    await data.close?.()
  }
})

t.test('categories, big-endian bytes, token ids and autoencoders are streamed as they are loaded', async (t) => {
  const dir = t.testdir({ tokens: {}, bytes: {} })
  const table = join(dir, 'people.csv')
  await writeFile(
    table,
    ['colour,label', ...everyNumber.map((n) => `${['red', 'green', 'blue'][n % 3]},${n % 2 ? 'yes' : 'no'}`)].join('\n'),
  )
  await writeFile(
    join(dir, 'tokens', 'x.npy'),
    npyFile('>i8', [SAMPLES, 2], new BigInt64Array(SAMPLES * 2).fill(BigInt('0x0700000000000000'))),
  )
  await writeFile(
    join(dir, 'tokens', 'y.npy'),
    npyFile('>i8', [SAMPLES, 2], new BigInt64Array(SAMPLES * 2).fill(BigInt('0x0800000000000000'))),
  )
  await writeFile(
    join(dir, 'bytes', 'x.npy'),
    npyFile(
      '|u1',
      [SAMPLES, 2, 2],
      Uint8Array.from({ length: SAMPLES * 4 }, (_, i) => i),
    ),
  )
  const cases: [string, ModelHints, Selection][] = [
    [table, { input: 'float32', inputShape: [null], target: 'class' }, {}],
    [join(dir, 'tokens'), { input: 'int64', inputShape: [null], target: 'tokens' }, {}],
    [join(dir, 'bytes'), { input: 'float32', inputShape: [2, 2], target: 'number' }, { input: 'x', label: 'x' }],
  ]
  for (const [spec, hints, selection] of cases) {
    const unshuffled = { validation: 0, window: { bytes: 4000, batchSize: BATCH, shuffle: false } }
    const data = await load(spec, unshuffled, hints, selection)
    const whole = await load(spec, { ...unshuffled, window: undefined }, hints, selection)
    t.strictSame(data.schema, whole.schema)
    const { windows, windowSamples } = data.stream!
    const [size, labels] = [whole.train.x.length / SAMPLES, whole.train.y.length / SAMPLES]
    for (let i = windows - 1; i >= 0; i--) {
      const count = await data.stream!.load(i)
      const from = i * windowSamples
      t.strictSame(data.train.x.slice(0, count * size), whole.train.x.slice(from * size, (from + count) * size))
      t.strictSame(data.train.y.slice(0, count * labels), whole.train.y.slice(from * labels, (from + count) * labels))
    }
    await data.close?.()
  }
})

t.test('images are decoded once and then read from a file that nobody else can open', async (t) => {
  const dir = t.testdir({ images: { a: {}, b: {} }, tmp: {} })
  for (let i = 0; i < 40; i++) {
    await sharp(Buffer.alloc(4 * 4 * 3, i), { raw: { width: 4, height: 4, channels: 3 } })
      .png()
      .toFile(join(dir, 'images', i % 2 ? 'a' : 'b', `${i}.png`))
  }
  const before = process.env.TMPDIR
  t.teardown(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  })
  process.env.TMPDIR = join(dir, 'tmp')
  const images: ModelHints = { input: 'float32', inputShape: [3, 4, 4], target: 'class' }
  const data = await load(join(dir, 'images'), { window: { bytes: 1000, batchSize: 2 }, validation: 0.1 }, images)
  t.strictSame(await readdir(process.env.TMPDIR), [])
  await rm(join(dir, 'images'), { recursive: true })
  const { train, validation, stream } = data
  const seen = Array.from({ length: validation.samples }, (_, i) => validation.x[i * 48]!)
  for (let i = 0; i < stream!.windows; i++) {
    const count = await stream!.load(i)
    for (let k = 0; k < count; k++) {
      seen.push(train.x[k * 48]!)
      if (train.y[k] !== 1 - (train.x[k * 48]! % 2)) t.fail('a label went astray')
    }
  }
  t.strictSame(
    ascending(seen),
    Array.from({ length: 40 }, (_, i) => i),
  )
  await data.close?.()
  process.env.TMPDIR = join(dir, 'none')
  await t.rejects(load(table(dir), { window: { bytes: 1000, batchSize: 2 } }, { ...regression, inputShape: [null] }), {
    code: 'data-missing',
  })
  await writeFile(table(dir), ['a,y', ...everyNumber.map((n) => `${n},${n}`)].join('\n'))
  await t.rejects(load(table(dir), { window: { bytes: 1000, batchSize: 2 } }, { ...regression, inputShape: [null] }), {
    code: 'disk-failed',
    message:
      /larger than --memory, and its samples cannot be laid out in .*none \(ENOENT\); make room there, name another folder in TMPDIR/,
  })
})

const table = (dir: string) => join(dir, 'table.csv')

t.test('bad samples are told with their place in the whole file, before they are trained on', async (t) => {
  const dir = t.testdir()
  const schema = async (): Promise<DataSchema> => proposeSchema(dir, {}, regression)
  const bad = (values: number[], at: number, value: number) => values.with(at, value)
  await writeFile(join(dir, 'x.npy'), f4([SAMPLES, SIZE], bad(inputs, 3990, Number.NaN)))
  await writeFile(join(dir, 'y.npy'), i8([SAMPLES], labels))
  const data = await loadData(dir, await schema(), { ...options, validation: 0 })
  await t.rejects(passOf(t, data, 0), { code: 'data-invalid', message: 'x.npy holds NaN as value 3990; remove or replace it.' })
  await data.close?.()

  await writeFile(join(dir, 'x.npy'), f4([SAMPLES, SIZE], inputs))
  await writeFile(join(dir, 'y.npy'), i8([SAMPLES], bad(labels, 700, 5)))
  const classes = { ...(await schema()), target: { kind: 'class' as const, size: 2000, shape: [] } }
  const check = ({ y }: DataSet) => t.ok(y.every((label) => label < 2000))
  const checked = await loadData(dir, classes, { ...options, window: { ...window, check } })
  await checked.stream!.load(1)
  await writeFile(join(dir, 'x.npy'), new Uint8Array(10))
  await t.rejects(checked.stream!.load(5), { code: 'data-invalid', message: 'has become shorter while it was used' })
  await checked.close?.()
  await writeFile(join(dir, 'x.npy'), f4([SAMPLES, SIZE], inputs))
  await writeFile(join(dir, 'y.npy'), i8([SAMPLES], bad(labels, 700, 2000)))
  const strayed = await loadData(dir, { ...classes, target: { ...classes.target, size: 1999 } }, { ...options, validation: 0 })
  const all = async () => {
    for (let i = 0; i < strayed.stream!.windows; i++) await strayed.stream!.load(i)
  }
  await t.rejects(all(), { code: 'data-invalid', message: 'y.npy holds label 2000 for sample 700, but' })
  await strayed.close?.()
})

t.test('what can only be read as a whole, and memory too small for two batches, are told', async (t) => {
  const dir = t.testdir({ packed: { 'data.npz': Buffer.from(npzFile({ x: f4([SAMPLES, SIZE], inputs), y: i8([SAMPLES], labels) })) } })
  const large = { bytes: 2 ** 20, batchSize: BATCH }
  const many = 60 * SAMPLES
  await writeFile(
    join(dir, 'many.npz'),
    npzFile({ x: f4([many, SIZE], new Array<number>(many * SIZE).fill(1)), y: i8([many], new Array<number>(many).fill(1)) }),
  )
  await t.rejects(load(join(dir, 'many.npz'), { window: large }), {
    code: 'limit-exceeded',
    message: /many\.npz takes 2 MiB and may take 1: raise --memory, or convert it to a format that is read in parts/,
  })
  t.equal((await load(join(dir, 'packed/data.npz'), { window: large })).stream, undefined)
  const fortran = t.testdir({
    'x.npy': npyFile('<f4', [SAMPLES, SIZE], Float32Array.from(inputs), { fortran: true }),
    'y.npy': i8([SAMPLES], labels),
  })
  await t.rejects(load(fortran), { code: 'limit-exceeded', message: 'raise --memory' })
  await t.rejects(load(npyFolder(t), { window: { bytes: 1000, batchSize: 1000 } }), {
    code: 'limit-exceeded',
    message: 'Two batches of 1000 samples take 40000 bytes, and --memory leaves',
  })
})

t.test('a plan deals out every sample exactly once, however sizes, parts, shares and windows fall', async (t) => {
  fc.assert(
    fc.property(
      fc.record({
        samples: fc.integer({ min: 600, max: 5000 }),
        bytes: fc.integer({ min: 1, max: 3_000_000 }),
        of: fc.integer({ min: 1, max: 5 }),
        validation: fc.double({ min: 0, max: 0.9, noNaN: true }),
        mostValidation: fc.integer({ min: 0, max: 5000 }),
        count: fc.integer({ min: 40, max: 2000 }),
        pass: fc.nat(3),
      }),
      ({ samples, bytes, of, validation, mostValidation, count, pass }) => {
        const seen = new Uint8Array(samples)
        for (let part = 0; part < of; part++) {
          const plan = planStream(samples, bytes, { part, of, seed: 1, validation, mostValidation, splitSeed: `1 ${part}` })
          let validating = 0
          for (const { begin, end } of plan.validation) {
            for (let i = begin; i < end; i++, validating++) seen[i]!++
          }
          if (validating !== plan.validationSamples || validating > mostValidation) return false
          for (let first = 0; first < plan.samples; first += count) {
            const wanted = Math.min(count, plan.samples - first)
            let found = 0
            for (const { begin, end } of plan.window(pass, first, wanted, pass > 0)) {
              for (let i = begin; i < end; i++, found++) seen[i]!++
            }
            if (found !== wanted) return false
          }
        }
        return seen.every((times) => times === 1)
      },
    ),
    { numRuns: 100 },
  )
  t.pass('none was found that is not')
})
