// The trainer as a peer uses it: real worker, real onnxruntime, real MNIST.
import t, { type Test } from 'tap'
import { exportModel, loadModel, splitWeights } from '../../models/index.ts'
import { parseModel, writeModel } from '../../models/serialize.ts'
import { zooModel } from '../../models/zoo/index.ts'
import type { DataSet } from '../../node/data/spec.ts'
import { encodePayload } from '../../node/train/encoding.ts'
import { createTrainer, type TrainerOptions } from '../../node/train/trainer.ts'
import { infer, LOSS, sameBits, sgd } from '../models/helpers.ts'
import { eventually } from '../network/recorder.ts'
import { mnist } from './mnist.ts'

const TRAIN = mnist('train', 4000)
const VALIDATION = mnist('train', 1000, 4000)
const INPUT = { dtype: 'uint8', shape: [1, 28, 28], scale: 1 / 255, offset: 0 } as const
const NONE = new Float32Array(0)

function optionsFor(model: string, changes: Partial<TrainerOptions> = {}) {
  const { graph, params } = splitWeights(zooModel(model, 1))
  const options: TrainerOptions = {
    graph,
    loss: LOSS,
    optimizer: sgd({ learningRate: 0.1, momentum: 0.9 }),
    batchSize: 32,
    input: { ...INPUT, shape: [...INPUT.shape] },
    target: { kind: 'class', size: 10, shape: [] },
    data: { train: TRAIN, validation: VALIDATION },
    threads: 1,
    ...changes,
  }
  return { options, params }
}

async function start(t: Test, model: string, changes: Partial<TrainerOptions> = {}) {
  const { options, params } = optionsFor(model, changes)
  const trainer = await createTrainer(options)
  t.teardown(() => trainer.stop())
  const request = { params, optimizer: NONE, steps: 20, seed: 1, stepsBefore: 0 }
  return { trainer, options, params, request }
}

t.test('a CNN learns MNIST within 200 steps, and what is exported is what was evaluated', async (t) => {
  const { trainer, options, request, params } = await start(t, 'mnist-cnn', { optimizer: sgd({ learningRate: 0.03, momentum: 0.9 }) })
  const before = await trainer.evaluate({ params, split: 'validation' })
  t.ok(before.accuracy! < 0.3)
  const result = await trainer.train({ ...request, steps: 200 })
  t.equal(result.steps, 200)
  t.equal(result.samples, 6400)
  t.equal(result.losses.length, 200)
  t.ok(Math.abs(result.loss - result.losses.reduce((sum, loss) => sum + loss, 0) / 200) < 1e-6)
  const after = await trainer.evaluate({ params: result.params, split: 'validation' })
  t.equal(after.samples, 1000)
  t.ok(after.accuracy! > 0.92, `accuracy ${after.accuracy}`)
  t.ok(after.loss < before.loss)

  const x = Float32Array.from(VALIDATION.x as Uint8Array, (value) => value / 255)
  const logits = await infer(exportModel(options.graph, loadModel(options.graph).layout, result.params), x, INPUT.shape)
  const right = [...VALIDATION.y].filter((label, i) => {
    const row = logits.subarray(10 * i, 10 * i + 10)
    return row.indexOf(Math.max(...row)) === Number(label)
  })
  t.equal(right.length / 1000, after.accuracy)
})

t.test('the same seed gives the same bits, however the steps fall into runs, and another seed other ones', async (t) => {
  const [one, two] = await Promise.all([start(t, 'mnist-mlp'), start(t, 'mnist-mlp')])
  const request = { ...one.request, steps: 300 }
  // The second trainer has measured its speed already, so its runs have other lengths.
  await two.trainer.train({ ...request, steps: 50, seed: 9 })
  const [a, b] = await Promise.all([one.trainer.train(request), two.trainer.train(request)])
  t.ok(sameBits(a.params, b.params))
  t.ok(sameBits(a.optimizer, b.optimizer))
  t.ok(sameBits(a.losses, b.losses))
  const other = await one.trainer.train({ ...request, seed: 2 })
  t.notOk(sameBits(a.params, other.params))
})

t.test("the caller's vectors are untouched, and optimizer state carries over", async (t) => {
  const { trainer, params, request } = await start(t, 'softmax')
  const copy = params.slice()
  const first = await trainer.train(request)
  t.ok(sameBits(params, copy))
  t.equal(first.optimizer.length, trainer.size)
  const kept = first.optimizer.slice()
  const second = await trainer.train({ ...request, params: first.params, optimizer: first.optimizer, seed: 2 })
  t.ok(sameBits(first.optimizer, kept))
  const fresh = await trainer.train({ ...request, params: first.params, seed: 2 })
  t.notOk(sameBits(second.params, fresh.params))
})

t.test('samples may be bytes or floats, for the same numbers', async (t) => {
  const train: DataSet = {
    x: Float32Array.from(TRAIN.x),
    y: TRAIN.y,
    samples: TRAIN.samples,
  }
  const { trainer, request } = await start(t, 'softmax')
  const other = await start(t, 'softmax', {
    data: { train, validation: { x: NONE, y: new Int32Array(0), samples: 0 } },
    input: { ...INPUT, dtype: 'float32', shape: [784] },
  })
  const [a, b] = [await trainer.train(request), await other.trainer.train(request)]
  t.ok(sameBits(a.params, b.params))
  await t.rejects(other.trainer.evaluate({ params: a.params, split: 'validation' }), { code: 'data-missing' })
})

t.test('training that diverges says at which step, keeps what was good before it, and the trainer goes on', async (t) => {
  const { trainer, request, params } = await start(t, 'mnist-mlp', { optimizer: sgd({ learningRate: 1000, weightDecay: 1 }) })
  const copy = params.slice()
  const result = await trainer.train({ ...request, steps: 500, stepsBefore: 40 })
  t.match(result.diverged, /at step (4[1-9]|[5-9]\d): .* lower the learning rate/)
  const step = Number(/step (\d+)/.exec(result.diverged!)![1])
  t.equal(result.steps, step - 41)
  t.equal(result.losses.length, result.steps)
  t.ok(result.params.every(Number.isFinite))
  const before = await trainer.train({ ...request, steps: result.steps, stepsBefore: 40 })
  t.equal(before.diverged, undefined)
  t.ok(sameBits(result.params, before.params))
  t.ok(sameBits(params, copy))
  t.equal((await trainer.evaluate({ params, split: 'validation' })).samples, 1000)
})

t.test('an abort ends training between runs, and the trainer goes on', async (t) => {
  const { trainer, request } = await start(t, 'mnist-mlp')
  const abort = new AbortController()
  const endless = trainer.train({ ...request, steps: 100_000_000, signal: abort.signal })
  // Answered after the first calls of the worker: training is under way by then.
  setImmediate(() => abort.abort())
  await t.rejects(endless, { code: 'cancelled' })
  await t.rejects(trainer.train({ ...request, signal: abort.signal }), { code: 'cancelled' })
  await t.rejects(trainer.evaluate({ params: request.params, split: 'validation', signal: abort.signal }), { code: 'cancelled' })
  t.equal((await trainer.train(request)).steps, 20)
})

t.test('a time budget is kept, and one step is made even without any time', async (t) => {
  const { trainer, request } = await start(t, 'softmax')
  const short = await trainer.train({ ...request, steps: 100_000_000, millis: 50 })
  t.ok(short.steps >= 1 && short.steps < 100_000_000)
  t.equal(short.losses.length, short.steps)
  const { steps, params } = await trainer.train({ ...request, steps: 100, millis: 0 })
  t.equal(steps, 1)
  t.ok(sameBits(params, (await trainer.train({ ...request, steps: 1 })).params))
})

t.test('stop ends training in hand without aborting the process', async (t) => {
  const { trainer, request } = await start(t, 'mnist-mlp')
  const endless = trainer.train({ ...request, steps: 100_000_000 })
  const ended = t.rejects(endless, { code: 'cancelled' })
  await trainer.stop()
  await ended
  await trainer.stop()
  await t.rejects(trainer.train(request), { code: 'worker-failed' })
})

/** Threads besides this one. */
const threads = () => (process.report.getReport() as { workers: unknown[] }).workers.length

t.test('a worker begins with the first call, ends when it has nothing to do, and begins again with the same results', async (t) => {
  const { trainer, request } = await start(t, 'softmax', { prepared: false, restMillis: 1 })
  t.equal(threads(), 0)
  const first = await trainer.train(request)
  await eventually('the end of the worker', () => threads() === 0)
  const again = await trainer.train(request)
  t.ok(sameBits(again.params, first.params))
  await trainer.stop()
  t.equal(threads(), 0)
  await t.rejects(trainer.train(request), { code: 'worker-failed' })
  const busy = await start(t, 'softmax', { restMillis: 1 })
  const endless = t.rejects(busy.trainer.train({ ...request, steps: 100_000_000 }), { code: 'cancelled' })
  await busy.trainer.stop()
  await endless
})

t.test('what is announced is encoded as others decode it, and what they would refuse is told with its reason', async (t) => {
  const { trainer } = await start(t, 'softmax', { prepared: false })
  const values = Float32Array.from({ length: 700 }, (_, i) => Math.sin(i))
  for (const codec of ['float32', 'float16', 'int8']) {
    const encoded = await trainer.encode(values, { codec, maxAbs: 10 })
    t.same(encoded, encodePayload(values, { codec, maxAbs: 10 }))
    t.ok('values' in encoded.decoded && encoded.decoded.values.length === 700)
    t.match(await trainer.encode(values, { codec, maxAbs: 0.5 }), { decoded: { rejected: 'out-of-bounds' } })
    const wild = values.with(699, Number.NaN)
    t.match(await trainer.encode(wild, { codec, maxAbs: 10 }), { decoded: { rejected: 'not-finite' } })
  }
  t.equal(values.length, 700, "the caller's vector is untouched")
})

t.test('evaluation takes a subset at a regular stride, and the test data where there is some', async (t) => {
  const test = mnist('t10k', 700)
  const { trainer, params } = await start(t, 'softmax', { data: { train: TRAIN, validation: VALIDATION, test } })
  t.equal(trainer.trainSamples, 4000)
  t.equal(trainer.validationSamples, 1000)
  const all = await trainer.evaluate({ params, split: 'test' })
  t.equal(all.samples, 700)
  const some = await trainer.evaluate({ params, split: 'test', samples: 70 })
  t.equal(some.samples, 70)
  const every: DataSet = { x: new Uint8Array(70 * 784), y: new Int32Array(70), samples: 70 }
  for (let i = 0; i < 70; i++) {
    every.x.set(test.x.subarray(i * 10 * 784, (i * 10 + 1) * 784), i * 784)
    every.y[i] = Number(test.y[i * 10])
  }
  const { trainer: other } = await start(t, 'softmax', { data: { train: TRAIN, validation: every } })
  const same = await other.evaluate({ params, split: 'validation' })
  t.equal(some.accuracy, same.accuracy)
  t.ok(Math.abs(some.loss - same.loss) < 1e-6)
  await t.rejects(other.evaluate({ params, split: 'test' }), { code: 'data-missing', message: /no test data/ })
})

t.test('data that does not fit the task is refused with the value', async (t) => {
  const refused = (train: DataSet, message: RegExp, changes: Partial<TrainerOptions> = {}) =>
    t.rejects(createTrainer(optionsFor('softmax', { data: { train, validation: VALIDATION }, ...changes }).options), {
      code: 'data-invalid',
      message,
    })
  const y = Int32Array.from(TRAIN.y, Number)
  y[3] = 10
  await refused({ ...TRAIN, y }, /label 10 at sample 3/)
  await refused({ ...TRAIN, samples: 3999 }, /for 3999 samples/)
  await refused({ x: new Uint8Array(0), y: new Int32Array(0), samples: 0 }, /is empty/)
  await refused({ ...TRAIN, x: Float32Array.from(TRAIN.x) }, /is float32, but the task takes uint8/)
})

t.test('a model or task that cannot be trained is refused at once, with its own code', async (t) => {
  const { options } = optionsFor('softmax')
  const proto = parseModel(options.graph)
  proto.graph!.node[0]!.opType = 'Det'
  await t.rejects(createTrainer({ ...options, graph: writeModel(proto) }), { code: 'operator-unsupported', message: /Det/ })
  await t.rejects(createTrainer({ ...options, loss: { kind: 'huber' } }), {
    code: 'task-unsupported',
    message: /huber takes labels of kind number/,
  })
  await t.rejects(createTrainer({ ...options, provider: 'abacus' }), { code: 'model-invalid', message: /provider "abacus"/ })
  await t.rejects(createTrainer({ ...options, graph: new Uint8Array(3) }), { code: 'model-invalid' })
  const { trainer, request } = await start(t, 'softmax')
  await t.rejects(trainer.train({ ...request, params: NONE }), { code: 'bad-argument', message: /params has 0 values; .* 7850/ })
  await t.rejects(trainer.train({ ...request, optimizer: new Float32Array(3) }), { code: 'bad-argument' })
})
