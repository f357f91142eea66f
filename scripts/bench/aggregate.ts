// Times the aggregation rules beside a naive baseline (one Array and one sort a coordinate) on the same vectors, in the same run.
// Usage: node scripts/bench/aggregate.ts
import { parseRule } from '../../protocol/aggregation/index.ts'

/** Milliseconds of work after which a rule has been measured enough; the least of the runs is reported. */
const BUDGET_MILLIS = 1500
const MOST_RUNS = 20

const CASES = [
  { n: 6, f: 1, d: 28_938 },
  { n: 20, f: 4, d: 1_000_000 },
]
const RULES = ['mean', 'trimmed-mean', 'median', 'nnm | trimmed-mean']

for (const { n, f, d } of CASES) {
  const vectors = Array.from({ length: n }, (_, i) => gaussian(d, i + 1, i >= n - f ? -4 : 1))
  const baselines = [time(() => naiveMean(vectors)), time(() => naiveTrimmedMean(vectors, f))] as const
  for (const text of RULES) {
    const rule = parseRule(text)
    const millis = time(() => rule.run({ vectors, own: 0, f }))
    const [name, naive] = text === 'mean' ? ['mean', baselines[0]] : ['trimmed mean', baselines[1]]
    console.log(
      `n=${n} f=${f} d=${d} ${text.padEnd(18)} ${millis.toFixed(1).padStart(8)} ms   naive ${name} ${naive.toFixed(1).padStart(8)} ms   ratio ${(millis / naive).toFixed(2)}`,
    )
  }
}

function time(run: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  const began = performance.now()
  for (let i = 0; i < MOST_RUNS && (i < 2 || performance.now() - began < BUDGET_MILLIS); i++) {
    const start = performance.now()
    run()
    best = Math.min(best, performance.now() - start)
  }
  return best
}

function naiveMean(vectors: readonly Float32Array[]): Float32Array {
  return vectors[0]!.map((_, c) => vectors.reduce((sum, vector) => sum + vector[c]!, 0) / vectors.length)
}

function naiveTrimmedMean(vectors: readonly Float32Array[], f: number): Float32Array {
  const kept = vectors.length - 2 * f
  return vectors[0]!.map((_, c) => {
    const column = vectors.map((vector) => vector[c]!).sort((a, b) => a - b)
    return column.slice(f, f + kept).reduce((sum, x) => sum + x, 0) / kept
  })
}

/** Standard normal values times `scale`: mulberry32 and Box-Muller. */
function gaussian(count: number, seed: number, scale: number): Float32Array {
  let state = seed
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return Float32Array.from({ length: count }, () => scale * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()))
}
