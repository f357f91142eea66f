// Running statistics follow the batches as PyTorch's do, are no business of the optimizer's, and outlive export.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { exportModel, loadModel, splitWeights } from '../../models/index.ts'
import { decodeGraph, parseModel } from '../../models/serialize.ts'
import { type LayoutEntry, sizeOf } from '../../protocol/layout.ts'
import { evaluate, furthest, infer, sameBits, sgd, total, train } from './helpers.ts'
import { STATISTICS_CASES, statisticsData, statisticsModel } from './torch/statistics-cases.ts'

interface Reference {
  losses: number[]
  tensors: Record<string, number[]>
  /** Of the trained model, frozen, for all samples; and their mean loss. */
  output: number[]
  evaluation: number
}

const REFERENCES: Record<string, Reference> = JSON.parse(readFileSync(new URL('torch/objectives.json', import.meta.url), 'utf8')).statistics
/** Over five steps, between float32 and PyTorch's float64; all values are about 1. */
const TOLERANCE = 5e-6
const STATISTICS = ['bn.mean', 'bn.var']

const valuesOf = (params: Float32Array, { offset, shape }: LayoutEntry) => params.subarray(offset, offset + sizeOf(shape))
const segments = (layout: readonly LayoutEntry[]) => layout.map(({ name, segment }) => `${name}: ${segment}`)

for (const [name, settings] of Object.entries(STATISTICS_CASES)) {
  const { optimizer, frozen } = settings
  const model = statisticsModel(settings)
  const { batch, index } = statisticsData(settings)
  const expected = REFERENCES[name]!

  t.test(`${name}: parameters, statistics and losses are PyTorch's`, async (t) => {
    const { layout, params: before } = splitWeights(model)
    const { params, losses } = await train(model, batch, index, { optimizer })
    t.ok(furthest(losses, expected.losses) < TOLERANCE, `losses differ by ${furthest(losses, expected.losses).toExponential(1)}`)
    for (const entry of layout) {
      const difference = furthest(valuesOf(params, entry), expected.tensors[entry.name]!)
      t.ok(difference < TOLERANCE, `${entry.name} differs by ${difference.toExponential(1)}`)
      t.notOk(sameBits(valuesOf(params, entry), valuesOf(before, entry)), 'and has moved')
    }
  })

  t.test(`${name}: evaluated or exported, the trained model is PyTorch's after eval()`, async (t) => {
    const { graph, layout } = splitWeights(model)
    const { params } = await train(model, batch, index, { optimizer })
    const { losses, weights } = await evaluate(model, batch, { from: params })
    t.ok(Math.abs(total(losses!) / total(weights!) - expected.evaluation) < TOLERANCE)
    const exported = exportModel(graph, layout, params)
    const difference = furthest(await infer(exported, batch.x as Float32Array, batch.shape), expected.output)
    t.ok(difference < 2 * TOLERANCE, `outputs differ by ${difference.toExponential(1)}`)
    const again = await evaluate(exported, batch)
    t.ok(sameBits(again.losses!, losses!))
  })

  t.test(`${name}: five steps in one run are five runs of one step, bit for bit`, async (t) => {
    // The anchor of FedProx is what a run begins with.
    const options = { optimizer: { ...optimizer, proximal: 0 } }
    const together = await train(model, batch, index, options)
    let from: { params: Float32Array; state: Float32Array } | undefined
    for (const rows of index) from = await train(model, batch, [rows], { ...options, ...(from && { from }) })
    t.ok(sameBits(from!.params, together.params))
    t.ok(sameBits(from!.state, together.state))
  })

  t.test(`${name}: statistics ${frozen ? 'stay in the graph as they are' : 'come last in the layout'}`, async (t) => {
    const { graph, layout } = splitWeights(model)
    const shared = ['bn.weight: shared', 'bn.bias: shared', 'first: shared', 'last: shared']
    const stats = STATISTICS.map((name) => `${name}: stats`)
    t.strictSame(new Set(segments(layout)), new Set(frozen ? shared : [...shared, ...stats]))
    t.strictSame(loadModel(graph).layout, layout)
    if (!frozen) {
      t.strictSame(segments(layout.slice(-2)), stats)
      return
    }
    const { params } = await train(model, batch, index, { optimizer })
    const constants = (bytes: Uint8Array) => STATISTICS.map((name) => decodeGraph(parseModel(bytes).graph!).constants.get(name)!.data)
    t.strictSame(constants(exportModel(graph, layout, params)), constants(model))
  })
}

const COLUMNS = STATISTICS_CASES.columns!
const MODEL = statisticsModel(COLUMNS)
const { batch: BATCH, index: INDEX } = statisticsData(COLUMNS)

t.test('statistics follow the batches alike whatever the optimizer is told, and have no state in it', async (t) => {
  const { layout, params } = splitWeights(MODEL)
  const trained = params.length - 8
  for (const options of [
    { kind: 'sgd', momentum: 0.9 },
    { kind: 'adam', weightDecay: 0.9 },
    { kind: 'adamw', weightDecay: 0.9, clipNorm: 1e-3, proximal: 10 },
  ] as const) {
    const optimizer = sgd(options)
    const after = await train(MODEL, BATCH, INDEX.slice(0, 1), { optimizer })
    const plain = await train(MODEL, BATCH, INDEX.slice(0, 1), {})
    for (const entry of layout.slice(-2)) t.ok(sameBits(valuesOf(after.params, entry), valuesOf(plain.params, entry)), entry.name)
    t.equal(after.state.length, options.kind === 'sgd' ? trained : 2 * trained + 1)
    const still = await train(MODEL, BATCH, INDEX.slice(0, 1), { optimizer, rates: [0] })
    for (const entry of layout) t.equal(sameBits(valuesOf(still.params, entry), valuesOf(params, entry)), entry.segment !== 'stats')
  }
})

t.test('a batch of one sample has no variance, and leaves no NaN', async (t) => {
  const { params, losses } = await train(MODEL, BATCH, [[3], [5]])
  t.equal(losses.length, 2)
  t.ok(params.every(Number.isFinite))
})

t.test('personal statistics follow the batches as others do', async (t) => {
  const { optimizer } = COLUMNS
  const common = await train(MODEL, BATCH, INDEX, { optimizer })
  const { layout } = splitWeights(MODEL)
  for (const personal of [['bn.*'], ['bn.mean', 'bn.var'], ['*', '!first']]) {
    const split = splitWeights(MODEL, { personal })
    t.strictSame(
      STATISTICS.map((name) => split.layout.find((entry) => entry.name === name)!.segment),
      ['personal', 'personal'],
    )
    const own = await train(MODEL, BATCH, INDEX, { optimizer, split: { personal } })
    for (const entry of layout) {
      const place = split.layout.find(({ name }) => name === entry.name)!
      t.ok(furthest(valuesOf(own.params, place), [...valuesOf(common.params, entry)]) < 1e-6, entry.name)
    }
  }
})

t.test('statistics follow the batches where only other layers are trained', async (t) => {
  const { layout, params: before } = splitWeights(MODEL, { trainable: ['last'] })
  t.strictSame(segments(layout), ['last: shared', 'bn.mean: stats', 'bn.var: stats'])
  const { params } = await train(MODEL, BATCH, INDEX, { split: { trainable: ['last'] } })
  for (const entry of layout) t.notOk(sameBits(valuesOf(params, entry), valuesOf(before, entry)), entry.name)
})

for (const personal of [[], ['bn.*']]) {
  const what = personal.length === 0 ? 'an exported model' : 'a model exported with personal statistics'
  t.test(`${what} trains on as if it had not been exported, and so does its export`, async (t) => {
    const { optimizer } = COLUMNS
    const split = { personal }
    const first = await train(MODEL, BATCH, INDEX, { optimizer, split })
    const { graph, layout } = splitWeights(MODEL, split)
    const once = exportModel(graph, layout, first.params)
    for (const next of [split, { personal: personal.length === 0 ? ['bn.*'] : [] }]) {
      const again = splitWeights(once, next)
      const second = await train(once, BATCH, INDEX, { optimizer, split: next })
      const straight = await train(MODEL, BATCH, [...INDEX, ...INDEX], { optimizer, split })
      for (const entry of again.layout) {
        const place = layout.find(({ name }) => name === entry.name)!
        const difference = furthest(valuesOf(second.params, entry), [...valuesOf(straight.params, place)])
        t.ok(difference < 1e-6, `${entry.name} (${entry.segment}) differs by ${difference.toExponential(1)}`)
      }
      const twice = exportModel(again.graph, again.layout, second.params)
      t.strictSame(segments(splitWeights(twice, next).layout), segments(again.layout))
    }
  })
}
