// The WebAssembly kernels against the float64 matrix, within the tolerances that they state.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { parseRule } from '../../protocol/aggregation/index.ts'
import { createKernels, floatsSource, MOST_ROWS, solo } from '../../protocol/aggregation/kernels/index.ts'
import { selectionNetwork } from '../../protocol/aggregation/kernels/selection.ts'
import type { Matrix } from '../../protocol/aggregation/matrix.ts'
import { plainMatrix } from '../../protocol/aggregation/plain.ts'
import type { InputAudit } from '../../protocol/aggregation/types.ts'

const kernels = createKernels(solo())
/** Room for one grain of coordinates at a time: everything longer is worked on in stripes. */
const striped = createKernels(solo(), 1)

type Rows = Float32Array[]
const open = (rows: Rows, on = kernels) => {
  const matrix = on.open(rows.map(floatsSource), rows[0]!.length)
  return { matrix, failures: matrix.gate() }
}

function random(seed: number): () => number {
  let state = seed
  return () => {
    state = Math.imul(state ^ (state >>> 15), state | 1) + 0x6d2b79f5
    return ((state ^ (state >>> 14)) >>> 0) / 2 ** 32
  }
}

const KINDS = {
  random: (next: () => number) => 2 * next() - 1,
  tied: (next: () => number) => Math.floor(4 * next()),
  huge: (next: () => number) => (next() < 0.2 ? -1e15 : next() < 0.2 ? 1e15 : next()),
  denormal: (next: () => number) => (next() - 0.5) * 1e-38,
  largest: (next: () => number) => (next() < 0.3 ? 3.4e38 : -3.4e38 * next()),
}
type Kind = keyof typeof KINDS

function rowsOf(kind: Kind, n: number, d: number, seed: number): Rows {
  const next = random(seed)
  return Array.from({ length: n }, () => Float32Array.from({ length: d }, () => KINDS[kind](next)))
}

/** Sum of |weight x row| of each coordinate, which rounding is measured by. */
const magnitudes = (rows: Rows, weights: ArrayLike<number>) =>
  Float64Array.from(rows[0]!, (_, c) => rows.reduce((sum, row, i) => sum + Math.abs(weights[i]! * row[c]!), 0))

/** Worst excess of |found - expected| over what is allowed, which must not be above 0. */
function isWithin(t: Test, what: string, found: ArrayLike<number>, expected: ArrayLike<number>, allowed: (i: number) => number): void {
  const wrong = Array.from(expected).findIndex((x, i) => !(Math.abs(found[i]! - x) <= allowed(i)))
  const at = wrong < 0 ? '' : ` at ${wrong}: ${found[wrong]} is not ${expected[wrong]} within ${allowed(wrong)}`
  t.ok(wrong < 0 && found.length === expected.length, `${what}${at}`)
}

function comparePasses(t: Test, what: string, rows: Rows, matrix: Matrix, shared: number): void {
  const plain = plainMatrix(rows)
  const [n, d] = [rows.length, rows[0]!.length]
  const near = (expected: Float64Array) => (i: number) => expected[i]! * 2 ** -17 + d * 2 ** -120
  const own = n >> 1
  const point = Float32Array.from(rows[own]!, (x) => x / 3)
  for (const [name, found, expected] of [
    ['distances', matrix.distances(shared), plain.distances(shared)],
    ['from a row', matrix.distancesFrom(own, shared), plain.distancesFrom(own, shared)],
    ['from a point', matrix.distancesFrom(point, shared), plain.distancesFrom(point, shared)],
    ['norms', matrix.norms(shared), plain.norms(shared)],
  ] as const) {
    isWithin(t, `${what}: ${name}`, found, expected, near(expected))
  }
  t.equal(matrix.distancesFrom(own, shared)[own], 0)
  const output = { found: new Float64Array(d), expected: new Float64Array(d) }
  const weights = Float64Array.from({ length: n }, (_, i) => (i % 3) / n / 3)
  matrix.combine(weights, output.found)
  plain.combine(weights, output.expected)
  const size = magnitudes(rows, weights)
  isWithin(t, `${what}: combine`, output.found, output.expected, (c) => n * 2 ** -23 * size[c]! + 2 ** -149 * n)
  for (const trim of new Set([0, 1, n >> 2, (n - 1) >> 1].filter((trim) => 2 * trim < n))) {
    const shares = matrix.trimmedMean(trim, output.found)
    const expected = plain.trimmedMean(trim, output.expected)
    const largestKept = (c: number) => {
      const column = rows.map((row) => row[c]!).sort((a, b) => a - b)
      return Math.max(Math.abs(column[trim]!), Math.abs(column[n - trim - 1]!))
    }
    isWithin(t, `${what}: trim ${trim}`, output.found, output.expected, (c) => n * 2 ** -23 * largestKept(c) + 2 ** -149)
    isWithin(t, `${what}: shares ${trim}`, shares, expected, () => 1e-6)
  }
}

t.test('passes agree with float64 for every number of rows and any length', async (t) => {
  for (let n = 1; n <= 40; n++) {
    for (const [i, d] of [1, 5, 33, 259].entries()) {
      const rows = rowsOf('random', n, d, 7 * n + d)
      comparePasses(t, `${n} x ${d}`, rows, open(rows).matrix, i % 2 === 0 ? d : d - 3)
    }
  }
})

t.test('ties, values of 1e15, denormals and the largest floats do no harm', async (t) => {
  for (const kind of Object.keys(KINDS) as Kind[]) {
    for (const n of [2, 3, 8, 20, 31, MOST_ROWS]) {
      const rows = rowsOf(kind, n, 101, n)
      comparePasses(t, `${kind} ${n}`, rows, open(rows).matrix, 90)
    }
  }
})

t.test('stripes change nothing but the order of sums', async (t) => {
  for (const d of [4095, 4097, 9000]) {
    const rows = rowsOf('random', 5, d, d)
    comparePasses(t, `${d}`, rows, open(rows, striped).matrix, d - 1)
  }
})

t.test('matrices can be used in turns', async (t) => {
  const [a, b] = [rowsOf('random', 3, 50, 1), rowsOf('tied', 7, 70, 2)]
  const [first, second] = [open(a).matrix, open(b).matrix]
  comparePasses(t, 'first', a, first, 50)
  comparePasses(t, 'second', b, second, 70)
  comparePasses(t, 'first again', a, first, 49)
})

t.test('mixes, and mixes of mixes, are what they would be as rows of their own', async (t) => {
  for (const [n, m, d] of [
    [4, 4, 37],
    [9, 5, 300],
    [31, 31, 259],
  ] as const) {
    const rows = rowsOf('random', n, d, n)
    const next = random(m)
    const weights = Float64Array.from({ length: m * n }, () => Math.floor(3 * next()) / n)
    const mixed: Rows = Array.from({ length: m }, (_, i) => {
      const row = new Float32Array(d)
      plainMatrix(rows).combine(weights.subarray(i * n, (i + 1) * n), row)
      return row
    })
    const matrix = open(rows).matrix.mixed(weights)
    const plain = plainMatrix(mixed)
    t.equal(matrix.count, m)
    isWithin(t, 'distances', matrix.distances(d), plain.distances(d), (i) => 1e-5 * plain.distances(d)[i]! + 1e-9)
    isWithin(t, 'norms', matrix.norms(d - 1), plain.norms(d - 1), (i) => 1e-5 * plain.norms(d - 1)[i]!)
    const [found, expected] = [new Float32Array(d), new Float32Array(d)]
    matrix.trimmedMean(1, found)
    plain.trimmedMean(1, expected)
    isWithin(t, 'trimmed', found, expected, () => 2e-6)
    const again = Float64Array.from({ length: 2 * m }, () => next() / m)
    matrix.mixed(again).combine(Float64Array.of(0.5, 2), found)
    plain.mixed(again).combine(Float64Array.of(0.5, 2), expected)
    isWithin(t, 'twice', found, expected, () => 1e-5)
  }
})

const RULES = [
  ...['mean', 'trimmed-mean', 'median', 'geometric-median', 'krum', 'multi-krum', 'clipped-gossip', 'clipped-gossip(tau=3)', 'cs+', 'nna'],
  ...['nnm | trimmed-mean', 'clip(2) | nnm | trimmed-mean', 'bucketing(2) | median', 'nnm | multi-krum', 'clip(5) | cs+'],
]

t.test('every production rule gives what it gives in float64, however far attackers go', async (t) => {
  const [n, d, f] = [15, 130, 2]
  for (const far of [0.5, 5, 1e6, 1e15]) {
    const next = random(far + 1)
    const rows: Rows = Array.from({ length: n }, (_, i) =>
      Float32Array.from({ length: d }, () => (i < n - f ? 2 * next() - 1 : -far * (1 + next()))),
    )
    for (const text of RULES) {
      const rule = parseRule(text)
      const options = { own: 0, f, shared: d - 7, seed: 'fixed' }
      const expected = rule.run({ vectors: rows, ...options })
      const output = new Float32Array(d)
      const audits = rule.apply(open(rows).matrix, options, output)
      const scale = Math.max(1, ...Array.from(expected.output, Math.abs))
      isWithin(t, `${text}, ${far}`, output, expected.output, () => 2e-6 * scale)
      const weights = audits.map(({ weight }) => weight)
      const expectedWeights = expected.inputs.map(({ weight }) => weight)
      isWithin(t, `${text}, ${far}: weights`, weights, expectedWeights, () => 2e-6)
      const reasons = (inputs: readonly InputAudit[]) => inputs.map(({ why, kept }) => ({ why, kept }))
      t.same(reasons(audits), reasons(expected.inputs))
    }
  }
})

t.test('what is not finite is found wherever it is, in whichever row', async (_t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9000 }),
      fc.nat(),
      fc.nat(),
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
      (n, d, row, at, bad) => {
        const rows = rowsOf('largest', n, d, d)
        const good = [open(rows), open(rows, striped)]
        rows[row % n]![at % d] = bad
        const found = [open(rows), open(rows, striped)]
        const isRight = found.every(({ failures }) =>
          failures.every((failure, i) => failure === (i === row % n ? 'not-finite' : undefined)),
        )
        return isRight && good.every(({ failures }) => failures.every((failure) => failure === undefined))
      },
    ),
    { numRuns: 30 },
  )
})

t.test('more rows than there is room for are refused', async (t) => {
  const rows = rowsOf('random', MOST_ROWS + 1, 2, 1)
  t.throws(() => open(rows), { code: 'limit-exceeded', message: /65 models .* at most 64/ })
})

t.test('the shares of a long vector are counted over a sample of it, and are near', async (t) => {
  const d = 200_000
  const rows = rowsOf('random', 7, d, 3).map((row, i) => row.map((x) => x + (i === 6 ? 5 : 0)))
  const shares = open(rows).matrix.trimmedMean(1, new Float32Array(d))
  t.equal(shares[6], 0, 'always the highest')
  for (const share of shares.subarray(0, 6)) t.ok(Math.abs(share - 1 / 6) < 0.01, `${share}`)
  t.ok(Math.abs(shares.reduce((sum, share) => sum + share) - 1) < 1e-12)
})

t.test('a selection network leaves on each wire a value of the use that its position has', async (_t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: MOST_ROWS }), fc.nat(), (values, cut) => {
      const n = values.length
      const trim = cut % Math.ceil(n / 2)
      const isKept = (position: number) => position >= trim && position < n - trim
      const wires: number[] = [...values]
      for (const { low, high, needsLow, needsHigh } of selectionNetwork(n, (position) => (isKept(position) ? 'kept' : 'dropped'))) {
        const [a, b] = [Math.min(wires[low]!, wires[high]!), Math.max(wires[low]!, wires[high]!)]
        wires[low] = needsLow ? a : Number.NaN
        wires[high] = needsHigh ? b : Number.NaN
      }
      const kept = wires.filter((_, wire) => isKept(wire)).sort((a, b) => a - b)
      const sorted = values.toSorted((a, b) => a - b).slice(trim, n - trim)
      return kept.every((value, i) => value === sorted[i])
    }),
  )
})
