// What a compiled training graph promises beyond its gradients.
import t from 'tap'
import type { Attribute } from '../../models/graph.ts'
import { compileEvaluation, learningRateAt, loadModel, onlyBatch, splitWeights } from '../../models/index.ts'
import { decodeGraph, parseModel, writeModel } from '../../models/serialize.ts'
import { zooModel } from '../../models/zoo/index.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'
import { buildModel, evaluate, infer, LOSS, normals, type Parts, rawInput, sameBits, sgd, train } from './helpers.ts'
import { referenceLoss } from './reference.ts'

const prng = createPrng('compile tests')
const SHAPE = [6]
const BATCH = { x: normals(prng, 12 * 6), y: Int32Array.from({ length: 12 }, () => prng.int(3)), shape: SHAPE }
const LINEAR = buildModel(SHAPE, ({ b, weight }, x) => b.op('Gemm', [x, weight('w', [6, 3]), weight('c', [3])]))
const INDEX = Array.from({ length: 5 }, () => Array.from({ length: 4 }, () => prng.int(12)))

for (const name of ['mnist-cnn', 'mnist-mlp'] as const) {
  t.test(`${name}: K steps in one run are K runs of one step, bit for bit`, async (t) => {
    const shape = [1, 28, 28]
    const batch = { x: normals(prng, 16 * 784), y: Int32Array.from({ length: 16 }, () => prng.int(10)), shape }
    const index = Array.from({ length: 4 }, () => Array.from({ length: 8 }, () => prng.int(16)))
    const optimizer = sgd({ learningRate: 0.05, momentum: 0.9 })
    const model = zooModel(name, 1)
    const together = await train(model, batch, index, { optimizer })
    const losses: number[] = []
    let from: { params: Float32Array; state: Float32Array } | undefined
    for (const rows of index) {
      const one = await train(model, batch, [rows], { optimizer, ...(from && { from }) })
      losses.push(one.losses[0]!)
      from = one
    }
    t.ok(sameBits(from!.params, together.params))
    t.ok(sameBits(from!.state, together.state))
    t.strictSame(losses, [...together.losses])
    const again = await train(model, batch, index, { optimizer })
    t.ok(sameBits(again.params, together.params))
  })
}

t.test('every option of the optimizer does what PyTorch and FedProx define', async (t) => {
  const RATE = 0.1
  for (const options of [
    {},
    { momentum: 0.9 },
    { momentum: 0.9, nesterov: true },
    { weightDecay: 0.1 },
    { clipNorm: 0.05 },
    { clipNorm: 1e6 },
    { proximal: 0.5 },
    { momentum: 0.5, nesterov: true, weightDecay: 0.05, clipNorm: 0.2, proximal: 0.3 },
  ]) {
    const optimizer = sgd({ learningRate: RATE, ...options })
    const { momentum, nesterov, weightDecay, clipNorm, proximal } = optimizer
    const { params: start } = splitWeights(LINEAR)
    // Gradients from the graph without options, the update in plain numbers.
    let w = Float64Array.from(start)
    let v = new Float64Array(start.length)
    for (const rows of INDEX) {
      const here = { params: Float32Array.from(w), state: new Float32Array(0) }
      const { params: moved } = await train(LINEAR, BATCH, [rows], { optimizer: sgd({ learningRate: 1 }), from: here })
      let g = w.map((value, i) => here.params[i]! - moved[i]! + proximal * (value - start[i]!))
      const norm = Math.hypot(...g)
      if (clipNorm > 0 && norm > clipNorm) g = g.map((value) => (value * clipNorm) / norm)
      g = g.map((value, i) => value + weightDecay * w[i]!)
      v = v.map((value, i) => momentum * value + g[i]!)
      const step = nesterov ? g.map((value, i) => value + momentum * v[i]!) : v
      w = w.map((value, i) => value - RATE * step[i]!)
    }
    const { params } = await train(LINEAR, BATCH, INDEX, { optimizer })
    const worst = Math.max(...params.map((value, i) => Math.abs(value - w[i]!)))
    t.ok(worst < 1e-5, `${JSON.stringify(options)}: ${worst}`)
  }
})

t.test('each step uses its own row of the learning rates, and a rate of zero leaves the weights as they are', async (t) => {
  const { params } = splitWeights(LINEAR)
  const still = await train(LINEAR, BATCH, INDEX, { rates: [0, 0, 0, 0, 0] })
  t.strictSame(still.params, params)
  const first = await train(LINEAR, BATCH, INDEX, { rates: [0.3, 0, 0, 0, 0] })
  t.strictSame(first.params, (await train(LINEAR, BATCH, INDEX.slice(0, 1), { rates: [0.3] })).params)
})

t.test('label smoothing is part of loss and gradient', async (t) => {
  const loss = { ...LOSS, labelSmoothing: 0.2 }
  const graph = decodeGraph(parseModel(LINEAR).graph!)
  const { layout, params } = splitWeights(LINEAR)
  const { params: moved, losses } = await train(LINEAR, BATCH, [[...BATCH.y.keys()]], { loss })
  t.ok(Math.abs(losses[0]! - referenceLoss(graph, BATCH.x, BATCH.y, undefined, 0.2)) < 1e-5)
  const { offset, shape } = layout.find(({ name }) => name === 'w')!
  const values = Float64Array.from(params.subarray(offset, offset + sizeOf(shape)))
  const at = (delta: number) => {
    const changed = values.slice()
    changed[4]! += delta
    return referenceLoss(graph, BATCH.x, BATCH.y, new Map([['w', changed]]), 0.2)
  }
  const expected = (at(1e-6) - at(-1e-6)) / 2e-6
  t.ok(Math.abs(params[offset + 4]! - moved[offset + 4]! - expected) < 1e-5)
})

t.test('what is frozen does not move, and what the loss does not depend on neither', async (t) => {
  const model = buildModel(SHAPE, ({ b, weight }, x) => {
    b.op('Mul', [x, weight('unused', [6])])
    return b.op('Gemm', [x, weight('w', [6, 3]), weight('c', [3])])
  })
  const { layout, params } = splitWeights(model)
  const { params: moved } = await train(model, BATCH, INDEX)
  for (const { name, offset, shape } of layout) {
    const end = offset + sizeOf(shape)
    t.equal(params.subarray(offset, end).join() === moved.subarray(offset, end).join(), name === 'unused', name)
  }
  const frozen = splitWeights(model, { trainable: ['c'] })
  t.strictSame(
    frozen.layout.map(({ name }) => name),
    ['c'],
  )
  const { params: onlyC } = await train(model, BATCH, INDEX, { split: { trainable: ['c'] } })
  t.equal(onlyC.length, 3)
  t.notSame(onlyC, frozen.params)
})

t.test('evaluation tells loss and correctness of each sample', async (t) => {
  const { losses, correct } = await evaluate(LINEAR, BATCH)
  const logits = await infer(LINEAR, BATCH.x, SHAPE)
  for (const [i, label] of BATCH.y.entries()) {
    const row = logits.subarray(3 * i, 3 * i + 3)
    t.equal(correct![i], row.indexOf(Math.max(...row)) === label ? 1 : 0)
    const expected = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[label]!
    t.ok(Math.abs(losses![i]! - expected) < 1e-5)
  }
})

t.test("PyTorch's x.view(x.size(0), -1) is understood", async (t) => {
  const model = buildModel([2, 3], ({ b, weight }, x) => {
    const axes: Record<string, Attribute> = { axis: { int: 0 } }
    const batch = b.op('Unsqueeze', [b.op('Gather', [b.op('Shape', [x]), b.ints([0], [])], axes), b.ints([0])])
    const shape = b.op('Concat', [batch, b.op('Constant', [], { value_ints: { ints: [-1] } })], axes)
    return b.op('Gemm', [b.op('Reshape', [x, shape]), weight('w', [3, 6]), weight('c', [3])], { transB: { int: 1 } })
  })
  const same = buildModel([2, 3], ({ b, weight }, x) =>
    b.op('Gemm', [b.op('Flatten', [x]), weight('w', [3, 6]), weight('c', [3])], { transB: { int: 1 } }),
  )
  const batch = { ...BATCH, shape: [2, 3] }
  t.strictSame(await train(model, batch, INDEX), await train(same, batch, INDEX))
})

t.test('a model whose batch the exporter built in trains with that batch, and says so for another', async (t) => {
  const build =
    (rows: number) =>
    ({ b, weight }: Parts, x: string) =>
      b.op('Gemm', [b.op('Reshape', [x, b.ints([rows, 6])]), weight('w', [6, 3]), weight('c', [3])])
  const declared = (bytes: Uint8Array) => {
    const proto = parseModel(bytes)
    const { value } = proto.graph!.input[0]!.type!
    if (value.case === 'tensorType') value.value.shape!.dim[0]!.value = { case: 'dimValue', value: 4n }
    return writeModel(proto)
  }
  const [fixed, free] = [declared(buildModel([2, 3], build(4))), declared(buildModel([2, 3], build(-1)))]
  const only = (bytes: Uint8Array) => onlyBatch(loadModel(splitWeights(bytes).graph))
  t.equal(only(fixed), 4)
  t.equal(only(free), undefined)
  const batch = { ...BATCH, shape: [2, 3] }
  t.strictSame(await train(fixed, batch, INDEX), await train(free, batch, INDEX))
  const pairs = INDEX.map((rows) => rows.slice(0, 2))
  t.equal((await train(free, batch, pairs)).losses.length, pairs.length)
  await t.rejects(train(fixed, batch, pairs), { code: 'model-invalid', message: /for batches of 4, not of 2; use --batch-size 4/ })
})

t.test('a model that does not end in scores for classes is refused', async (t) => {
  const flat = buildModel([2, 3], ({ b, weight }, x) => b.op('MatMul', [x, weight('w', [3, 4])]))
  await t.rejects(train(flat, { ...BATCH, shape: [2, 3] }, INDEX), { code: 'model-invalid', message: /\[2, 2, 4\]; a classifier needs/ })
})

t.test('what does not go together is named', async (t) => {
  const { graph } = splitWeights(LINEAR)
  const target = { kind: 'class', size: 3, shape: [] } as const
  const options = { loss: LOSS, batchSize: 4, input: rawInput(SHAPE), target: { ...target, shape: [] } }
  const compile = (changes: object) => () => compileEvaluation(loadModel(graph), { ...options, ...changes })
  t.doesNotThrow(compile({}))
  t.throws(compile({ loss: { kind: 'mse' } }), {
    code: 'task-unsupported',
    message: /mse takes labels of kind number, but the data's are of kind class/,
  })
  t.throws(compile({ loss: { ...LOSS, classWeights: [1, 2] } }), {
    code: 'model-invalid',
    message: /2 class weights, but the model tells 3/,
  })
  t.throws(compile({ target: { ...target, size: 4 } }), { code: 'model-invalid', message: /tells 3 classes, but the task has 4/ })
  t.throws(compile({ input: { ...rawInput(SHAPE), dtype: 'int64' } }), {
    code: 'model-invalid',
    message: /model takes float32, but the data's inputs are whole/,
  })
  t.throws(compile({ input: rawInput([7]) }), { code: 'model-invalid', message: /samples of shape \[6\], but the data's have \[7\]/ })
})

t.test('learning rates follow their schedule', async (t) => {
  const at = (options: Parameters<typeof sgd>[0], step: number) => learningRateAt(sgd({ learningRate: 0.4, ...options }), step)
  t.equal(at({}, 1000), 0.4)
  t.equal(at({ warmupSteps: 4 }, 0), 0.1)
  t.equal(at({ warmupSteps: 4 }, 4), 0.4)
  const step = { schedule: 'step', scheduleSteps: 10, scheduleFactor: 0.5 } as const
  t.equal(at(step, 9), 0.4)
  t.equal(at(step, 10), 0.2)
  t.equal(at(step, 25), 0.1)
  const cosine = { schedule: 'cosine', scheduleSteps: 100, scheduleFactor: 0 } as const
  t.equal(at(cosine, 0), 0.4)
  t.ok(Math.abs(at(cosine, 50) - 0.2) < 1e-12)
  t.ok(at(cosine, 100) < 1e-12)
  t.ok(at(cosine, 500) < 1e-12)
})
