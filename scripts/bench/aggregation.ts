// Times the aggregation kernels: each against a baseline that takes turns with it in this run, on one thread unless it says otherwise.
// Usage: node scripts/bench/aggregation.ts
import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { openSource, type Source } from '../../node/peer/aggregate-source.ts'
import { createTeam } from '../../node/peer/aggregate-team.ts'
import { parseRule } from '../../protocol/aggregation/index.ts'
import { createKernels, type KernelMatrix } from '../../protocol/aggregation/kernels/index.ts'
import { plainMatrix } from '../../protocol/aggregation/plain.ts'
import { createPrng } from '../../protocol/prng.ts'

const LENGTH = 1_000_000
/** Milliseconds for which the contestants take turns, after as many turns as make their code and memory warm. */
const RACE_MILLIS = 3000
const WARM_TURNS = 4

const kernels = createKernels(createTeam(1))

for (const n of [8, 20, 32]) {
  const f = Math.floor(n / 5)
  const { matrix, output } = open(n)
  const even = new Float64Array(n).fill(1 / n)
  const rule = (text: string) => () => parseRule(text).apply(matrix, { own: 0, f }, output)
  const best = race({
    mean: () => matrix.combine(even, output),
    trimmed: () => matrix.trimmedMean(f, output),
    median: () => matrix.trimmedMean((n - 1) >> 1, output),
    'cs+': rule('cs+'),
    nna: rule('nna'),
  })
  console.log(`n=${n} f=${f} d=${LENGTH}: a plain mean pass takes ${best.mean.toFixed(2)} ms`)
  const least = n === 8 ? '75 %' : '30 %'
  for (const name of ['trimmed', 'median'] as const)
    print(name, best[name], `${share(best.mean / best[name])} of a mean pass's speed, goal ${least}`)
  for (const name of ['cs+', 'nna'] as const) print(name, best[name], `${(best[name] / best.mean).toFixed(2)} mean passes, goal 3 at most`)
}

{
  const n = 20
  const { matrix, rows, output } = open(n)
  const plain = plainMatrix(rows)
  const best = race({
    kernel: () => matrix.distances(LENGTH),
    javascript: () => plain.distances(LENGTH),
    trimmed: () => matrix.trimmedMean(4, output),
    'nnm | trimmed': () => parseRule('nnm | trimmed-mean').apply(matrix, { own: 0, f: 4 }, output),
  })
  print('nnm | trimmed', best['nnm | trimmed'], `n=${n} f=4`)
  print('all distances', best.kernel, `${(best.javascript / best.kernel).toFixed(1)} times the best JavaScript loop's speed, goal 5`)
  const numpy = numpyTrimmedMean(n, 4)
  const against = numpy === undefined ? 'NumPy is not installed' : `${(numpy / best.trimmed).toFixed(0)} times NumPy's speed, goal 10`
  print('trimmed', best.trimmed, against)
}

{
  const n = 20
  const team = createTeam(2, 0)
  const two = createKernels(team)
  const { matrix, sources } = open(n)
  const together = two.open(sources, LENGTH)
  together.gate()
  const mixing = Float64Array.from({ length: n * n }, (_, i) => ((i * 7) % 5 === 0 ? 0 : 1 / (0.8 * n)))
  const [one, both] = [new Float32Array(LENGTH), new Float32Array(LENGTH)]
  const passes = (matrix: KernelMatrix, output: Float32Array) => ({
    trimmed: () => matrix.trimmedMean(4, output),
    'all distances': () => matrix.distances(LENGTH),
    'mixed, trimmed': () => matrix.mixed(mixing).trimmedMean(4, output),
  })
  for (const name of ['trimmed', 'all distances', 'mixed, trimmed'] as const) {
    const best = race({ one: passes(matrix, one)[name], two: passes(together, both)[name] })
    print(name, best.two, `${(best.one / best.two).toFixed(2)} times one worker's speed with two, goal 1.7`)
  }
  await team.stop()
}

const memory = spawnSync(process.execPath, [fileURLToPath(import.meta.resolve('./aggregation-memory.ts'))], { stdio: 'inherit' })
process.exitCode = memory.status ?? 1

function open(n: number): { matrix: KernelMatrix; rows: Float32Array[]; sources: Source[]; output: Float32Array } {
  const rows = Array.from({ length: n }, (_, i) => gaussian(LENGTH, i + 1))
  const sources = rows.map((row) => openSource({ codec: 'float32', maxAbs: 1e6, at: new Uint8Array(row.buffer) }))
  const matrix = kernels.open(sources, LENGTH)
  matrix.gate()
  return { matrix, rows, sources, output: new Float32Array(LENGTH) }
}

/** The least milliseconds of each: what else the machine does can only add to them. */
function race<Name extends string>(contestants: Record<Name, () => unknown>): Record<Name, number> {
  const names = Object.keys(contestants) as Name[]
  const best = Object.fromEntries(names.map((name) => [name, Number.POSITIVE_INFINITY])) as Record<Name, number>
  let began = performance.now()
  for (let turn = 0; turn < 2 * WARM_TURNS || performance.now() - began < RACE_MILLIS; turn++) {
    if (turn === WARM_TURNS) began = performance.now()
    for (const name of names) {
      const start = performance.now()
      contestants[name]()
      if (turn >= WARM_TURNS) best[name] = Math.min(best[name], performance.now() - start)
    }
  }
  return best
}

function print(name: string, millis: number, comparison: string): void {
  console.log(`  ${name.padEnd(16)} ${millis.toFixed(2).padStart(8)} ms   ${comparison}`)
}

function share(ratio: number): string {
  return `${(100 * ratio).toFixed(0)} %`
}

/** Milliseconds of the sort-based one; undefined without NumPy. */
function numpyTrimmedMean(n: number, f: number): number | undefined {
  const code = `
import time, numpy as np
x = np.random.default_rng(1).standard_normal((${n}, ${LENGTH}), dtype=np.float32)
best = 1e9
for _ in range(3):
    began = time.perf_counter()
    np.sort(x, axis=0)[${f}:${n - f}].mean(axis=0)
    best = min(best, time.perf_counter() - began)
print(1000 * best)`
  try {
    return Number(execFileSync('python3', ['-c', code], { stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    return undefined
  }
}

function gaussian(count: number, seed: number): Float32Array {
  const prng = createPrng(seed)
  const values = new Float32Array(new SharedArrayBuffer(count * Float32Array.BYTES_PER_ELEMENT))
  for (let i = 0; i < count; i++) values[i] = prng.normal()
  return values
}
