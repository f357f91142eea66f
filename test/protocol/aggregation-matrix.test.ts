// The passes of the plain matrix, which every rule and every faster matrix is measured by, against the shortest code that could be right.
import fc from 'fast-check'
import t from 'tap'
import type { Matrix } from '../../protocol/aggregation/matrix.ts'
import { plainMatrix } from '../../protocol/aggregation/plain.ts'
import { remembered } from '../../protocol/aggregation/remembered.ts'
import { BLOCK } from '../../protocol/aggregation/rows.ts'
import { createPrng } from '../../protocol/prng.ts'

interface Drawn {
  rows: Float64Array[]
  shared: number
  weights: Float64Array
  mix: Float64Array
}

/** Rows with ties, huge and tiny values, of lengths around the ends of blocks. */
const drawn: fc.Arbitrary<Drawn> = fc
  .record({
    seed: fc.nat(),
    n: fc.integer({ min: 1, max: 9 }),
    m: fc.integer({ min: 1, max: 9 }),
    d: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3)),
    scale: fc.constantFrom(1, 1e-300, 1e15),
    ties: fc.boolean(),
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ seed, n, m, d, scale, ties, cut }) => {
    const prng = createPrng(seed)
    const value = () => scale * (ties ? prng.int(4) - 2 : prng.normal())
    return {
      rows: Array.from({ length: n }, () => Float64Array.from({ length: d }, value)),
      shared: Math.round(cut * d),
      weights: Float64Array.from({ length: n }, () => (prng.int(3) === 0 ? 0 : prng.next())),
      mix: Float64Array.from({ length: m * n }, () => (prng.int(2) === 0 ? 0 : prng.next())),
    }
  })

const close = (a: ArrayLike<number>, b: ArrayLike<number>): boolean => {
  const largest = Math.max(...Array.from(b, Math.abs))
  return a.length === b.length && Array.from(a).every((x, i) => Math.abs(x - b[i]!) <= 1e-12 * largest)
}
const squared = (a: ArrayLike<number>, b: ArrayLike<number>, shared: number) => {
  let sum = 0
  for (let c = 0; c < shared; c++) sum += (a[c]! - b[c]!) ** 2
  return sum
}
const combined = (rows: Float64Array[], weights: ArrayLike<number>) =>
  rows[0]!.map((_, c) => rows.reduce((sum, row, i) => sum + weights[i]! * row[c]!, 0))

function holds(matrix: Matrix, rows: Float64Array[], shared: number, weights: Float64Array): boolean {
  const d = rows[0]!.length
  const out = new Float64Array(d)
  matrix.combine(weights, out)
  const from = (center: ArrayLike<number>) => rows.map((row) => squared(row, center, shared))
  const last = rows.length - 1
  return (
    matrix.count === rows.length &&
    matrix.length === d &&
    close(out, combined(rows, weights)) &&
    close(matrix.distances(shared), rows.flatMap(from)) &&
    close(matrix.distancesFrom(last, shared), from(rows[last]!)) &&
    matrix.distancesFrom(last, shared)[last] === 0 &&
    close(matrix.distancesFrom(out, shared), from(out)) &&
    close(matrix.distancesFrom(Float32Array.from(out), shared), from(Float32Array.from(out))) &&
    close(matrix.norms(shared), from(new Float64Array(d))) &&
    matrix.rows!().every((row, i) => close(row, rows[i]!))
  )
}

t.test('distances, sums and mixes are what they say, whatever the length', (t) => {
  fc.assert(
    fc.property(drawn, fc.boolean(), ({ rows, shared, weights, mix }, remember) => {
      const matrix = remember ? remembered(plainMatrix(rows)) : plainMatrix(rows)
      const n = rows.length
      const mixed = Array.from({ length: mix.length / n }, (_, i) => combined(rows, mix.subarray(i * n, (i + 1) * n)))
      const after = Float64Array.from({ length: mixed.length }, (_, i) => i)
      return holds(matrix, rows, shared, weights) && holds(matrix.mixed(mix), mixed, shared, after)
    }),
  )
  t.end()
})

t.test('the trimmed mean sorts, cuts and averages; a row has its share of what is left', (t) => {
  fc.assert(
    fc.property(drawn, fc.nat(), ({ rows }, any) => {
      const n = rows.length
      const trim = any % Math.ceil(n / 2)
      const kept = n - 2 * trim
      const out = new Float64Array(rows[0]!.length)
      const shares = plainMatrix(rows).trimmedMean(trim, out)
      const expected = new Float64Array(n)
      const means = out.map((_, c) => {
        const column = rows.map((row) => row[c]!)
        const sorted = column.toSorted((a, b) => a - b)
        const middle = sorted.slice(trim, n - trim)
        for (const [i, x] of column.entries()) {
          // Equal values share the places that values equal to them have in the middle.
          expected[i]! += middle.filter((y) => y === x).length / column.filter((y) => y === x).length / (kept * out.length)
        }
        return middle.reduce((sum, x) => sum + x, 0) / kept
      })
      return close(out, means) && close(shares, expected)
    }),
  )
  t.end()
})

t.test('a row of weight 0 adds nothing, whatever it holds', (t) => {
  const out = new Float64Array(2)
  plainMatrix([Float64Array.of(1, 2), Float64Array.of(Number.NaN, Number.POSITIVE_INFINITY)]).combine([2, 0], out)
  t.same([...out], [2, 4])
  t.end()
})
