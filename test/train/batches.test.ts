import fc from 'fast-check'
import t from 'tap'
import { type Batches, createBatches, stepsPerEpoch, strided } from '../../node/train/batches.ts'
import { createPace } from '../../node/train/pace.ts'

/** The rows of the first `steps` steps, asked for in blocks of at most `most`. */
function rowsOf(batches: Batches, steps: number, most: number): number[][] {
  const rows: number[][] = []
  while (rows.length < steps) {
    const block = batches.block(rows.length, Math.min(most, steps - rows.length))
    for (let i = 0; i < block.steps; i++) rows.push([...block.index.subarray(i * block.batchSize, (i + 1) * block.batchSize)])
  }
  return rows
}

const sizes = { samples: fc.integer({ min: 1, max: 50 }), batchSize: fc.integer({ min: 1, max: 60 }), seed: fc.nat() }
const most = fc.integer({ min: 1, max: 9 })

t.test('every epoch has each sample once, however its steps are asked for', async () => {
  fc.assert(
    fc.property(fc.record({ ...sizes, epochs: fc.boolean(), shuffle: fc.boolean() }), most, (options, most) => {
      const rows = rowsOf(createBatches(options), 40, 40)
      const flat = rows.flat()
      for (let at = 0; at + options.samples <= flat.length; at += options.samples) {
        if (new Set(flat.slice(at, at + options.samples)).size !== options.samples) return false
      }
      return rowsOf(createBatches(options), 40, most).join() === rows.join()
    }),
  )
})

t.test('whole epochs end with the samples that are left, others never change the size of a batch', async () => {
  fc.assert(
    fc.property(fc.record(sizes), (options) => {
      const { samples, batchSize } = options
      const epochs = createBatches({ ...options, epochs: true })
      const perEpoch = stepsPerEpoch(samples, batchSize, false)
      const lengths = rowsOf(epochs, perEpoch * 2, 9).map(({ length }) => length)
      const last = samples % batchSize || batchSize
      const even = rowsOf(createBatches({ ...options, epochs: false }), 20, 9)
      return (
        perEpoch === Math.ceil(samples / batchSize) &&
        lengths.every((length, i) => length === ((i + 1) % perEpoch === 0 ? last : batchSize)) &&
        even.every(({ length }) => length === batchSize)
      )
    }),
  )
})

t.test('for a model that takes one size of batch only, the samples that are left wait for another epoch', async () => {
  fc.assert(
    fc.property(fc.record(sizes), (options) => {
      const perEpoch = stepsPerEpoch(options.samples, options.batchSize, true)
      if (perEpoch === 0) return options.samples < options.batchSize
      const rows = rowsOf(createBatches({ ...options, epochs: true, dropRest: true }), 3 * perEpoch, 4)
      const epoch = rows.slice(perEpoch, 2 * perEpoch).flat()
      return rows.every(({ length }) => length === options.batchSize) && new Set(epoch).size === perEpoch * options.batchSize
    }),
  )
})

t.test('epochs and seeds have different orders, and without shuffling samples come as they lie', async (t) => {
  const rows = (seed: number, shuffle?: boolean) =>
    rowsOf(createBatches({ samples: 100, batchSize: 100, seed, epochs: true, ...(shuffle !== undefined && { shuffle }) }), 2, 1)
  t.notSame(rows(1), rows(2))
  t.notSame(rows(1)[0], rows(1)[1])
  t.strictSame(rows(1, false)[1], [...Array(100).keys()])
})

t.test('a stride covers the whole range without repeating a row', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.option(fc.integer({ min: 1, max: 700 }), { nil: undefined }), (n, limit) => {
      const rows = strided(n, limit)
      const gaps = Array.from(rows, (row, i) => (rows[i + 1] ?? n) - row)
      return rows.length === Math.min(n, limit ?? n) && rows[0] === 0 && gaps.every((gap) => gap >= 1 && gap <= Math.ceil(n / rows.length))
    }),
  )
})

t.test('a run is one step at first, then as long as it should be, and never longer than what is left', async (t) => {
  const pace = createPace()
  t.equal(pace.next(1000, Number.POSITIVE_INFINITY), 1)
  pace.ran(1, 10)
  t.equal(pace.next(1000, Number.POSITIVE_INFINITY), 10)
  t.equal(pace.next(4, Number.POSITIVE_INFINITY), 4)
  t.equal(pace.next(1000, 35), 3)
  t.equal(pace.next(1000, 0), 1)
  pace.ran(10, 1000)
  t.equal(pace.next(1000, Number.POSITIVE_INFINITY), 1)
})
