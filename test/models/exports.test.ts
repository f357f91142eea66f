// Models exported by PyTorch (exports/make.py) train as they do in PyTorch: the same weights, data and settings, the same losses.
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { LossOptions, OptimizerOptions } from '../../models/index.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { type Batch, evaluate, sgd, train } from './helpers.ts'

interface Fixture {
  opsets: number[]
  input: { kind: 'uniform' | 'ids'; shape: number[]; size?: number; codes?: number }
  target: { kind: 'class' | 'tokens' | 'binary' | 'number'; shape: number[]; size: number; ignoreEvery?: number }
  loss: LossOptions
  optimizer: Partial<OptimizerOptions>
  batch: number
  trainable?: string[]
  /** True with dropout: no two libraries drop the same. */
  random?: boolean
  /** Mean loss over all samples before training, each step's loss, and the mean over all samples after the last. */
  before: number
  losses: number[]
  after: number
}

const SAMPLES = 32
const IGNORED = -100
const TOLERANCE = 1e-4

/** hashes() of make.py. */
function hash(i: number): number {
  let x = i
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}

const uniform = (hash: number): number => hash / 2 ** 30 - 2

/** inputs() and targets() of make.py. */
function dataOf({ input, target }: Fixture): Batch {
  const columns = sizeOf(input.shape)
  const { codes = 0 } = input
  const x = Array.from({ length: SAMPLES * columns }, (_, i) =>
    input.kind === 'ids' || i % columns < codes ? hash(i) % input.size! : uniform(hash(i)),
  )
  const labels = SAMPLES * sizeOf(target.shape)
  const y = Array.from({ length: labels }, (_, i) => {
    const source = hash(Math.floor((i * x.length) / labels))
    if (target.kind === 'number') return uniform(source)
    if (target.kind === 'binary') return Number(source >= 2 ** 31)
    if (target.ignoreEvery !== undefined && (i + 1) % target.ignoreEvery === 0) return IGNORED
    return target.kind === 'tokens' ? source % target.size : Math.floor((source / 2 ** 32) * target.size)
  })
  return {
    x: input.kind === 'ids' ? Int32Array.from(x) : Float32Array.from(x),
    y: ['number', 'binary'].includes(target.kind) ? Float32Array.from(y) : Int32Array.from(y),
    shape: input.shape,
    labelShape: target.shape,
  }
}

const deviation = (value: number, expected: number): number => Math.abs(value - expected) / Math.abs(expected)
const sum = (values: Float32Array): number => values.reduce((total, value) => total + value, 0)

const read = (file: string): Uint8Array => new Uint8Array(readFileSync(new URL(`exports/${file}`, import.meta.url)))
const fixtures = Object.entries<Fixture>(JSON.parse(new TextDecoder().decode(read('losses.json'))))

for (const [name, fixture] of fixtures) {
  for (const opset of fixture.opsets) {
    t.test(`${name}, opset ${opset}`, async (t) => {
      const { loss, losses, batch } = fixture
      const model = read(`${name}-${opset}.onnx`)
      const data = dataOf(fixture)
      const split = fixture.trainable === undefined ? {} : { trainable: fixture.trainable }
      const meanLoss = async (from?: Float32Array): Promise<number> => {
        const { losses, weights } = await evaluate(model, data, { loss, split, ...(from && { from }) })
        return sum(losses!) / sum(weights!)
      }
      const before = deviation(await meanLoss(), fixture.before)
      t.ok(before < TOLERANCE, `evaluates as PyTorch does (deviation ${before.toExponential(1)})`)
      const index = losses.map((_, step) => Array.from({ length: batch }, (_, i) => (step * batch + i) % SAMPLES))
      const trained = await train(model, data, index, { loss, split, optimizer: sgd(fixture.optimizer) })
      const after = await meanLoss(trained.params)
      if (fixture.random) {
        t.ok(after < fixture.before, `learns: ${fixture.before} -> ${after}`)
        return
      }
      const worst = Math.max(...losses.map((expected, step) => deviation(trained.losses[step]!, expected)))
      t.ok(worst < TOLERANCE, `trains as PyTorch does (deviation ${worst.toExponential(1)})`)
      const end = deviation(after, fixture.after)
      t.ok(end < TOLERANCE, `ends where PyTorch does (deviation ${end.toExponential(1)})`)
    })
  }
}
