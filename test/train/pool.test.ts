// The trainer's worker pool, its batches, and what it tells of each kind of model.
import { Worker } from 'node:worker_threads'
import { InferenceSession } from 'onnxruntime-node'
import t, { type Test } from 'tap'
import { compileTraining, loadModel, splitWeights, type TargetOptions } from '../../models/index.ts'
import { ZOO_TASKS, type ZooName, zooModel } from '../../models/zoo/index.ts'
import type { DataSet } from '../../node/data/spec.ts'
import { dataFeeds, floats, rows } from '../../node/train/session.ts'
import { createTrainer, type TrainerOptions } from '../../node/train/trainer.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'
import { LOSS, rawInput, sameBits, sgd } from '../models/helpers.ts'

const NONE = new Float32Array(0)
const ENDLESS = 100_000_000

function samples(name: ZooName, count: number): DataSet {
  const { input, target } = ZOO_TASKS[name]
  const prng = createPrng(`${name} ${count}`)
  const ids = target.kind === 'class' || target.kind === 'tokens'
  const x = { length: count * sizeOf(input.shape) }
  const y = { length: count * sizeOf(target.shape) }
  const isWhole = input.dtype === 'int64' || name === 'tabular'
  return {
    x:
      input.dtype === 'int64' ? Int32Array.from(x, () => prng.int(5)) : Float32Array.from(x, () => (isWhole ? prng.int(2) : prng.normal())),
    y: ids ? Int32Array.from(y, () => prng.int(target.size)) : Float32Array.from(y, () => prng.normal()),
    samples: count,
  }
}

async function start(t: Test, name: ZooName, changes: Partial<TrainerOptions> = {}, model = zooModel(name, 1)) {
  const { input, target, loss } = ZOO_TASKS[name]
  const { graph, params } = splitWeights(model)
  const trainer = await createTrainer({
    ...{ graph, batchSize: 8, loss: { kind: loss }, optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }) },
    input: { ...rawInput(input.shape), dtype: input.dtype },
    target: target as TargetOptions,
    data: { train: samples(name, 30), validation: samples(name, 20) },
    ...changes,
  })
  t.teardown(() => trainer.stop())
  return { trainer, params, request: { params, optimizer: NONE, steps: 10, seed: 1, stepsBefore: 0 } }
}

t.test('two workers take two calls at once, and a third waits for either', async (t) => {
  const { trainer, request } = await start(t, 'softmax', { workers: 2 })
  const abort = new AbortController()
  const endless = t.rejects(trainer.train({ ...request, steps: ENDLESS, signal: abort.signal }), { code: 'cancelled' })
  // Only in another worker can these end.
  const order: string[] = []
  const [second, third] = await Promise.all([
    trainer.train(request).then((result) => {
      order.push('second')
      return result
    }),
    trainer.train({ ...request, steps: 20 }).then((result) => {
      order.push('third')
      return result
    }),
  ])
  t.same(order, ['second', 'third'])
  t.equal(second.steps, 10)
  t.equal(third.steps, 20)
  abort.abort()
  await endless
})

t.test('a call that waits for a worker ends as soon as it is aborted', async (t) => {
  const { trainer, request } = await start(t, 'softmax')
  const [running, waiting] = [new AbortController(), new AbortController()]
  let isRunning = true
  const endless = t.rejects(trainer.train({ ...request, steps: ENDLESS, signal: running.signal }), { code: 'cancelled' }).finally(() => {
    isRunning = false
  })
  const later = t.rejects(trainer.evaluate({ params: request.params, split: 'train', signal: waiting.signal }), { code: 'cancelled' })
  waiting.abort()
  await later
  t.ok(isRunning)
  running.abort()
  await endless
  t.equal((await trainer.train(request)).steps, 10)
})

t.test('a run of a million steps ends where another thread says so', async (t) => {
  const steps = 1_000_000
  const { graph, params } = splitWeights(zooModel('softmax', 1))
  const target: TargetOptions = { kind: 'class', size: 10, shape: [] }
  const input = rawInput([1, 28, 28])
  const compiled = compileTraining(loadModel(graph), { loss: LOSS, optimizer: sgd(), input, target, batchSize: 1 })
  const session = await InferenceSession.create(compiled.bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const halt = new Float32Array(new SharedArrayBuffer(Float32Array.BYTES_PER_ELEMENT))
  const worker = new Worker('require("node:worker_threads").parentPort.once("message", (halt) => halt.fill(1))', { eval: true })
  const ended = new Promise((resolve) => worker.once('exit', resolve))
  await new Promise((resolve) => worker.once('online', resolve))
  worker.postMessage(halt)
  const result = await session.run({
    ...dataFeeds(samples('softmax', 4), input.shape, target),
    params: floats(params, params.length),
    optimizer: floats(NONE, 0),
    index: rows(new Int32Array(steps), steps, 1),
    lr: floats(new Float32Array(steps), steps),
    halt: floats(halt),
  })
  await ended
  t.ok(result.losses!.dims[0]! < steps, `${result.losses!.dims[0]} steps`)
})

t.test('an order of batches gives the same bits however it is cut, across the end of epochs', async (t) => {
  const { trainer, params } = await start(t, 'mnist-mlp')
  // 30 samples in batches of 8: three and a smaller one.
  for (const shuffle of [true, false]) {
    const part = (first: number, steps: number, from: { params: Float32Array; optimizer: Float32Array }) =>
      trainer.train({
        params: from.params,
        optimizer: from.optimizer,
        steps,
        seed: 3,
        stepsBefore: first,
        order: { shuffle, epochs: true, first },
      })
    const whole = await part(0, 11, { params, optimizer: NONE })
    t.equal(whole.samples, 2 * 30 + 3 * 8)
    let now: { params: Float32Array; optimizer: Float32Array } = { params, optimizer: NONE }
    const losses: number[] = []
    for (const [first, steps] of [
      [0, 1],
      [1, 2],
      [3, 2],
      [5, 6],
    ] as const) {
      const result = await part(first, steps, now)
      losses.push(...result.losses)
      now = result
    }
    t.ok(sameBits(now.params, whole.params))
    t.same(losses, [...whole.losses])
  }
})

t.test('every kind of model is told of in the metrics that fit it, on the training data as well', async (t) => {
  const told: [ZooName, string[]][] = [
    ['softmax', ['accuracy']],
    ['tabular', ['accuracy', 'auc']],
    ['autoencoder', ['mae']],
    ['char-gru', ['accuracy', 'perplexity']],
  ]
  for (const [name, metrics] of told) {
    const { trainer, params } = await start(t, name)
    for (const [split, count] of [
      ['train', 30],
      ['validation', 20],
    ] as const) {
      const evaluation = await trainer.evaluate({ params, split })
      t.same(Object.keys(evaluation).sort(), ['samples', 'loss', ...metrics].sort(), name)
      t.equal(evaluation.samples, count)
      t.ok(Object.values(evaluation).every(Number.isFinite))
    }
    await trainer.stop()
  }
})
