import fc from 'fast-check'
import t from 'tap'
import { createBatches, strided } from '../../node/train/batches.ts'
import { createPace } from '../../node/train/pace.ts'

t.test('every epoch has each sample once, however it is cut into batches', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), fc.nat(), (n, cuts, seed) => {
      const length = n * Math.ceil((cuts.reduce((sum, cut) => sum + cut, 0) + 1) / n)
      const whole = new Int32Array(length)
      createBatches(n, seed)(whole)
      for (let at = 0; at < length; at += n) {
        if (new Set(whole.subarray(at, at + n)).size !== n) return false
      }
      const next = createBatches(n, seed)
      let at = 0
      return cuts.every((cut) => {
        const part = new Int32Array(cut)
        next(part)
        at += cut
        return part.every((row, i) => row === whole[at - cut + i])
      })
    }),
  )
})

t.test('epochs and seeds have different orders', async (t) => {
  const [a, b] = [new Int32Array(200), new Int32Array(200)]
  createBatches(100, 1)(a)
  createBatches(100, 2)(b)
  t.notSame(a, b)
  t.notSame(a.subarray(0, 100), a.subarray(100))
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
