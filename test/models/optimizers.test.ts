// Optimizers and schedules move the parameters as PyTorch's do, keep their state between runs, and stop when they are told to.
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { Tensor } from 'onnxruntime-node'
import t from 'tap'
import { compileTraining, exportModel, learningRateAt, loadModel, splitWeights } from '../../models/index.ts'
import { dataFeeds, floats, furthest, LOSS, sameBits, session, sgd, taskOf, train } from './helpers.ts'
import { DATA, INDEX, OPTIMIZER_CASES, REGRESSION } from './torch/optimizer-cases.ts'

interface Reference {
  rates: number[]
  losses: number[]
  tensors: Record<string, number[]>
}

const REFERENCES: Record<string, Reference> = JSON.parse(readFileSync(new URL('torch/objectives.json', import.meta.url), 'utf8')).optimizers
/** Over ten steps, between float32 and PyTorch's float64; parameters and losses are about 1. */
const TOLERANCE = 3e-6
/** The references are rounded to nine digits. */
const RATE_TOLERANCE = 1e-8

const { layout, params: START } = splitWeights(REGRESSION)

for (const [name, optimizer] of Object.entries(OPTIMIZER_CASES)) {
  const rates = INDEX.map((_, step) => learningRateAt(optimizer, step))

  t.test(`${name}: ten steps are PyTorch's`, async (t) => {
    const expected = REFERENCES[name]!
    const scheduled = furthest(rates, expected.rates) / optimizer.learningRate
    t.ok(scheduled < RATE_TOLERANCE, `learning rates differ by ${scheduled.toExponential(1)}`)
    const { params, losses } = await train(REGRESSION, DATA, INDEX, { optimizer, rates })
    const onTheWay = furthest(losses, expected.losses)
    t.ok(onTheWay < TOLERANCE, `losses differ by ${onTheWay.toExponential(1)}`)
    const end = furthest(
      params,
      layout.flatMap(({ name }) => expected.tensors[name]!),
    )
    t.ok(end < TOLERANCE, `parameters differ by ${end.toExponential(1)}`)
    t.ok(furthest(START, [...params]) > 0.1, 'and have moved')
  })

  // The anchor of FedProx is what a run begins with: with it a run is a round.
  if (optimizer.proximal > 0) continue
  t.test(`${name}: ten runs of one step are one of ten, bit for bit`, async (t) => {
    const together = await train(REGRESSION, DATA, INDEX, { optimizer, rates })
    const losses: number[] = []
    let from: { params: Float32Array; state: Float32Array } | undefined
    for (const [step, rows] of INDEX.entries()) {
      const one = await train(REGRESSION, DATA, [rows], { optimizer, rates: [rates[step]!], ...(from && { from }) })
      losses.push(one.losses[0]!)
      from = one
    }
    t.ok(sameBits(from!.params, together.params))
    t.ok(sameBits(from!.state, together.state))
    t.strictSame(losses, [...together.losses])
  })
}

t.test('FedProx is drawn to the anchor that a run is given, also by runs of one step', async (t) => {
  for (const options of [{ kind: 'sgd', momentum: 0.9 }, { kind: 'adam' }, { kind: 'adamw', weightDecay: 0.1 }] as const) {
    const optimizer = sgd({ learningRate: 0.05, proximal: 0.5, ...options })
    const { graph } = splitWeights(REGRESSION)
    const compiled = compileTraining(loadModel(graph), { loss: LOSS, optimizer, batchSize: 4, ...taskOf(graph, DATA, LOSS) })
    const run = await session(compiled.bytes)
    const steps = async (index: readonly (readonly number[])[], from: { params: Float32Array; state: Float32Array }) => {
      const result = await run.run({
        params: floats(from.params, START.length),
        optimizer: floats(from.state, compiled.optimizerSize),
        ...dataFeeds(DATA),
        index: new Tensor('int32', Int32Array.from(index.flat()), [index.length, 4]),
        lr: floats(new Float32Array(index.length).fill(0.05), index.length),
        halt: floats([0]),
        anchor: floats(START, START.length),
      })
      return { params: result.new_params!.data as Float32Array, state: result.new_optimizer!.data as Float32Array }
    }
    let state: { params: Float32Array; state: Float32Array } = { params: START, state: new Float32Array(compiled.optimizerSize) }
    const together = await steps(INDEX, state)
    for (const rows of INDEX) state = await steps([rows], state)
    t.ok(sameBits(state.params, together.params) && sameBits(state.state, together.state), options.kind)
  }
})

t.test('what is not trained does not move, whatever the optimizer does to the rest', async (t) => {
  for (const trainable of [['w'], ['!c'], ['*', '!c']]) {
    for (const options of [
      { kind: 'sgd', momentum: 0.9, nesterov: true },
      { kind: 'adam', learningRate: 0.05 },
      { kind: 'adamw', learningRate: 0.05 },
    ] as const) {
      const optimizer = sgd({ learningRate: 0.3, weightDecay: 0.5, clipNorm: 0.3, proximal: 0.1, ...options })
      const { graph, layout, params: before } = splitWeights(REGRESSION, { trainable })
      const { params, state } = await train(REGRESSION, DATA, INDEX, { optimizer, split: { trainable } })
      t.strictSame(
        layout.map(({ name }) => name),
        ['w'],
      )
      t.ok(state.length <= 2 * before.length + 1, 'nor has it any state')
      t.notOk(sameBits(params, before))
      const all = splitWeights(exportModel(graph, layout, params))
      const { offset } = all.layout.find(({ name }) => name === 'c')!
      t.ok(sameBits(all.params.subarray(offset, offset + 3), START.subarray(offset, offset + 3)), `${trainable}, ${options.kind}`)
    }
  }
})

t.test('a gradient of zero moves nothing, and leaves no NaN', async (t) => {
  const nothing = { ...DATA, y: new Int32Array(DATA.y.length).fill(-100) }
  const loss = { ...LOSS, ignoreIndex: -100 }
  for (const kind of ['sgd', 'adam', 'adamw'] as const) {
    const { params } = await train(REGRESSION, nothing, INDEX, { loss, optimizer: sgd({ kind, clipNorm: 0.1 }) })
    t.strictSame(params, START)
  }
})

/** A training session with an endless plenty of steps, and what it is fed. */
async function longRun(steps: number, halt: Float32Array) {
  const { graph } = splitWeights(REGRESSION)
  const optimizer = sgd({ learningRate: 0.01 })
  const { bytes } = compileTraining(loadModel(graph), { loss: LOSS, optimizer, batchSize: 4, ...taskOf(graph, DATA, LOSS) })
  const run = await session(bytes)
  return async (): Promise<Float32Array> => {
    const { losses } = await run.run({
      params: floats(START, START.length),
      optimizer: floats([], 0),
      ...dataFeeds(DATA),
      index: new Tensor('int32', new Int32Array(4 * steps), [steps, 4]),
      lr: floats(new Float32Array(steps), steps),
      halt: new Tensor('float32', halt, []),
    })
    return losses!.data as Float32Array
  }
}

t.test('a run that is told to halt before it begins ends with its first step', async (t) => {
  const halt = new Float32Array(new SharedArrayBuffer(4))
  const run = await longRun(50, halt)
  t.equal((await run()).length, 50)
  halt[0] = 1
  t.equal((await run()).length, 1)
  halt[0] = 0
  t.equal((await run()).length, 50)
})

t.test('a run that another thread tells to halt ends long before its last step', async (t) => {
  const STEPS = 1_000_000
  const halt = new Float32Array(new SharedArrayBuffer(4))
  const run = await longRun(STEPS, halt)
  const code = `
    const { workerData: halt, parentPort } = require('node:worker_threads')
    parentPort.on('message', (turns) => {
      while (turns-- > 0) Math.random()
      halt[0] = 1
    })`
  const worker = new Worker(code, { eval: true, workerData: halt })
  // Later and later, until it comes while the steps run.
  let length = 1
  for (let turns = 1_000_000; length === 1; turns *= 2) {
    halt[0] = 0
    worker.postMessage(turns)
    length = (await run()).length
  }
  t.ok(length < STEPS, `${length} of ${STEPS} steps`)
  await worker.terminate()
})

t.test('a run ends with the first loss that is not finite', async (t) => {
  for (const [value, at] of [
    [Number.NaN, 0],
    [Number.NaN, 4],
    [Number.POSITIVE_INFINITY, 4],
    [Number.NaN, 9],
  ] as const) {
    const spoilt = { ...DATA, x: Float32Array.from([...DATA.x, value, 0, 0, 0]), y: Int32Array.from([...DATA.y, 0]) }
    const index = INDEX.map((rows, step) => (step === at ? [...rows.slice(1), DATA.y.length] : rows))
    const { losses } = await train(REGRESSION, spoilt, index)
    t.equal(losses.length, at + 1)
    t.notOk(Number.isFinite(losses[at]))
  }
})
