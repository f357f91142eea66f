// Losses and their gradients are PyTorch's, in training and summed over the samples of an evaluation.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { type Builder, createBuilder } from '../../models/builder.ts'
import { floatTensor, TYPE } from '../../models/graph.ts'
import type { LossOptions } from '../../models/index.ts'
import { encodeModel } from '../../models/serialize.ts'
import { areaUnderCurve, createTally, summarize } from '../../node/train/metrics.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { type Batch, evaluate, furthest, sgd, total, train } from './helpers.ts'
import { BATCH, LOSS_CASES, type LossCase } from './torch/loss-cases.ts'

const REFERENCES: Record<string, { loss: number; gradient: number[] }> = JSON.parse(
  readFileSync(new URL('torch/objectives.json', import.meta.url), 'utf8'),
).losses
/** Between float32 and PyTorch's float64, of the loss or the largest entry of the gradient. */
const TOLERANCE = 2e-6

type End = (b: Builder, scores: string, dims: readonly number[]) => string

/** A model whose parameters are its scores: each sample is a one-hot row that picks its own. */
function scoresModel({ shape, scores }: Pick<LossCase, 'shape' | 'scores'>, end: End = (_, value) => value): Uint8Array {
  const b = createBuilder()
  b.constants.set('scores', floatTensor(scores, [BATCH, scores.length / BATCH]))
  const dims = [-1, ...shape.slice(1)]
  const output = end(b, b.op('Reshape', [b.op('MatMul', ['x', 'scores']), b.ints(dims)]), dims)
  return encodeModel({
    name: 'scores',
    inputs: [{ name: 'x', type: TYPE.float32, dims: ['batch', BATCH] }],
    outputs: [{ name: output, type: TYPE.float32, dims: [] }],
    nodes: b.nodes,
    constants: b.constants,
  })
}

const ROWS = Array.from({ length: BATCH }, (_, i) => i)

function batchOf({ labels, labelShape }: Pick<LossCase, 'labels' | 'labelShape'>, rows = ROWS): Batch {
  const count = sizeOf(labelShape)
  const picked = rows.flatMap((row) => [...labels.subarray(row * count, (row + 1) * count)])
  return {
    x: Float32Array.from(rows.flatMap((row) => ROWS.map((other) => Number(other === row)))),
    y: labels instanceof Int32Array ? Int32Array.from(picked) : Float32Array.from(picked),
    shape: [BATCH],
    labelShape,
  }
}

/** The loss and its gradient, which momentum keeps as it is, and the scores after a step at the rate 1. */
async function step(model: Uint8Array, batch: Batch, loss: LossOptions) {
  const { losses, state, params } = await train(model, batch, [ROWS], { loss, optimizer: sgd({ momentum: 0.5 }) })
  return { loss: losses[0]!, gradient: state, params }
}

const largest = (values: ArrayLike<number>): number => Math.max(...Array.from(values, Math.abs))

const activations: Record<string, End> = {
  softmax: (b, scores) => b.op('Softmax', [scores], { axis: { int: -1 } }),
  sigmoid: (b, scores) => b.op('Sigmoid', [scores]),
}

for (const [name, each] of Object.entries(LOSS_CASES)) {
  t.test(`${name}: loss and gradient are PyTorch's`, async (t) => {
    const expected = REFERENCES[name]!
    const model = scoresModel(each, activations[each.activation ?? ''])
    const { loss, gradient, params } = await step(model, batchOf(each), each.loss)
    t.ok(Math.abs(loss / expected.loss - 1) < TOLERANCE, `loss ${loss}, in PyTorch ${expected.loss}`)
    const difference = furthest(gradient, expected.gradient) / largest(expected.gradient)
    t.ok(difference < TOLERANCE, `gradient differs by ${difference.toExponential(1)}`)
    t.strictSame(
      [...params],
      [...each.scores].map((score, i) => Math.fround(score - gradient[i]!)),
      'a step at the rate 1 moves by minus the gradient',
    )
  })

  t.test(`${name}: what an evaluation tells of its parts adds up to the same loss`, async (t) => {
    const model = scoresModel(each, activations[each.activation ?? ''])
    const tally = createTally()
    for (const rows of [ROWS.slice(0, 2), ROWS.slice(2)]) {
      const { losses, weights } = await evaluate(model, batchOf(each, rows), { loss: each.loss })
      t.equal(losses!.length, rows.length)
      tally.losses += total(losses!)
      tally.weights += total(weights!)
    }
    const { loss } = summarize(tally, { kind: 'number', size: 1, shape: [] })
    t.ok(Math.abs(loss / REFERENCES[name]!.loss - 1) < TOLERANCE, `${loss}, in PyTorch ${REFERENCES[name]!.loss}`)
  })
}

const softmax =
  (op: string, axis: number): End =>
  (b, scores) =>
    b.op(op, [scores], { axis: { int: axis } })
const sigmoid: End = (b, scores) => b.op('Sigmoid', [scores])
const then =
  (end: End, op: string, dims?: readonly number[]): End =>
  (b, scores, from) =>
    b.op(op, dims === undefined ? [end(b, scores, from)] : [end(b, scores, from), b.ints(dims)])

/** Cases, and what else a model that is the same to the loss may end in. */
const ENDS: readonly [string, string, End][] = [
  ['cross-entropy', 'Softmax', softmax('Softmax', 1)],
  ['cross-entropy', 'LogSoftmax', softmax('LogSoftmax', -1)],
  ['cross-entropy', 'Softmax and Reshape', then(softmax('Softmax', 1), 'Reshape', [-1, 4])],
  [
    'cross-entropy',
    'Softmax of a row and Squeeze',
    then((b, scores) => b.op('Softmax', [b.op('Unsqueeze', [scores, b.ints([1])])]), 'Squeeze', [1]),
  ],
  ['cross-entropy with everything', 'Softmax', softmax('Softmax', -1)],
  ['cross-entropy of huge scores', 'Softmax', softmax('Softmax', 1)],
  ['cross-entropy of huge scores', 'LogSoftmax', softmax('LogSoftmax', 1)],
  ['cross-entropy of huge scores, smoothed', 'Softmax', softmax('Softmax', 1)],
  ['cross-entropy per token with everything', 'Softmax', softmax('Softmax', 2)],
  ['cross-entropy per token with everything', 'LogSoftmax and Reshape', then(softmax('LogSoftmax', 2), 'Reshape', [-1, 4])],
  ['cross-entropy per token, classes second', 'LogSoftmax', softmax('LogSoftmax', 1)],
  ['cross-entropy per token, in one axis', 'Softmax and Reshape', then(softmax('Softmax', 1), 'Reshape', [-1, 3, 4])],
  ['cross-entropy per pixel with everything', 'LogSoftmax', softmax('LogSoftmax', -3)],
  ['cross-entropy per pixel with everything', 'Softmax and Reshape', then(softmax('Softmax', 1), 'Reshape', [-1, 4, 1, 6])],
  ['bce', 'Sigmoid', sigmoid],
  ['bce of a column', 'Sigmoid and Reshape', then(sigmoid, 'Reshape', [-1])],
  ['bce of a column', 'Sigmoid and Squeeze', then(sigmoid, 'Squeeze', [1])],
  ['bce of a column', 'Sigmoid and Flatten', then(sigmoid, 'Flatten')],
  ['bce of a grid', 'Sigmoid and Flatten', then(sigmoid, 'Flatten')],
  ['bce with everything', 'Sigmoid', sigmoid],
  ['bce of scores around 100', 'Sigmoid', sigmoid],
]

for (const [name, what, end] of ENDS) {
  t.test(`${name}, of a model that ends in ${what}: the loss takes that in, for the same numbers`, async (t) => {
    const each = LOSS_CASES[name]!
    const labelShape = what.endsWith('Reshape') && name.startsWith('cross-entropy per pixel') ? [1, 6] : each.labelShape
    const batch = batchOf({ ...each, labelShape })
    const plain = await step(scoresModel(each), batchOf(each), each.loss)
    t.strictSame(await step(scoresModel(each, end), batch, each.loss), plain)
    const sums = async (model: Uint8Array, batch: Batch) => {
      const { losses, weights, correct, counted, scores } = await evaluate(model, batch, { loss: each.loss })
      return { losses, weights, correct, counted, scores }
    }
    t.strictSame(await sums(scoresModel(each, end), batch), await sums(scoresModel(each), batchOf(each)))
  })
}

t.test('a softmax over something else than the classes is a layer like any other', async (t) => {
  const each = LOSS_CASES['cross-entropy per token, classes second']!
  const over = await step(scoresModel(each, softmax('Softmax', 2)), batchOf(each), each.loss)
  t.not(over.loss, (await step(scoresModel(each), batchOf(each), each.loss)).loss)
  t.ok(over.loss > 0.5 && over.loss < 2, 'of scores between 0 and 1')
})

t.test('where classes and tokens are as many, the last axis is the one of the classes', async (t) => {
  const each = LOSS_CASES['cross-entropy per token, as many as classes']!
  const last = await step(scoresModel(each), batchOf(each), each.loss)
  const turned = await step(
    scoresModel(each, (b, scores) => b.op('Transpose', [scores], { perm: { ints: [0, 2, 1] } })),
    batchOf(each),
    each.loss,
  )
  t.ok(Math.abs(last.loss - REFERENCES['cross-entropy per token, as many as classes']!.loss) < 1e-5)
  t.not(turned.loss, last.loss)
})

t.test('a batch whose labels are all ignored has the loss 0 and moves nothing', async (t) => {
  const loss = { kind: 'cross-entropy', ignoreIndex: -100 } as const
  for (const options of [
    {},
    { classWeights: [0.5, 2, 1, 3] },
    { labelSmoothing: 0.1 },
    { classWeights: [0.5, 2, 1, 3], labelSmoothing: 0.1 },
  ]) {
    const each = { ...LOSS_CASES['cross-entropy']!, labels: new Int32Array(BATCH).fill(-100) }
    const model = scoresModel(each)
    const found = await step(model, batchOf(each), { ...loss, ...options })
    t.equal(found.loss, 0)
    t.equal(largest(found.gradient), 0)
    const { losses, weights, correct, counted } = await evaluate(model, batchOf(each), { loss: { ...loss, ...options } })
    for (const values of [losses, weights, correct, counted]) t.equal(largest(values!), 0)
  }
})

t.test('a batch of labels without weight stays finite', async (t) => {
  const each = { ...LOSS_CASES['cross-entropy']!, labels: new Int32Array(BATCH).fill(2) }
  for (const labelSmoothing of [0, 0.1]) {
    const loss = { kind: 'cross-entropy', classWeights: [1, 1, 0, 1], labelSmoothing } as const
    const found = await step(scoresModel(each), batchOf(each), { ...loss, classWeights: [...loss.classWeights] })
    t.ok(found.loss < 10 && largest(found.gradient) < 1, `loss ${found.loss}`)
  }
})

t.test('weights that do not fit the labels are refused', async (t) => {
  const refused = (name: string, classWeights: number[]) => {
    const each = LOSS_CASES[name]!
    return step(scoresModel(each), batchOf(each), { ...each.loss, classWeights })
  }
  await t.rejects(refused('cross-entropy', [1, 2, 3]), { code: 'model-invalid', message: /3 class weights, but the model tells 4 classes/ })
  await t.rejects(refused('bce', [2]), { code: 'model-invalid', message: /1 class weights; it takes two, for 0 and for 1/ })
})

t.test('scores around a million stay finite, and a sure right answer costs nothing', async (t) => {
  const each = { ...LOSS_CASES['cross-entropy']!, scores: LOSS_CASES['cross-entropy']!.scores.map((score) => 1e6 * score) }
  for (const end of [undefined, softmax('Softmax', 1), softmax('LogSoftmax', 1)]) {
    const { loss, gradient } = await step(scoresModel(each, end), batchOf(each), each.loss)
    t.ok(Number.isFinite(loss) && gradient.every(Number.isFinite))
  }
  const sure = {
    shape: [BATCH, 2],
    scores: Float32Array.from(ROWS.flatMap(() => [200, -200])),
    labels: new Int32Array(BATCH),
    labelShape: [],
  }
  t.equal((await step(scoresModel(sure, softmax('Softmax', 1)), batchOf(sure), { kind: 'cross-entropy' })).loss, 0)
  const column = { ...sure, shape: [BATCH], scores: Float32Array.from(ROWS, () => 200), labels: new Float32Array(BATCH).fill(1) }
  t.equal((await step(scoresModel(column, sigmoid), batchOf(column), { kind: 'bce' })).loss, 0)
})

t.test('an evaluation counts right answers, and leaves ignored labels out', async (t) => {
  const each = LOSS_CASES['cross-entropy per token, classes second, with everything']!
  const { correct, counted } = await evaluate(scoresModel(each), batchOf(each), { loss: each.loss })
  const at = (row: number, token: number) => ROWS.slice(0, 4).map((c) => each.scores[row * 12 + c * 3 + token]!)
  for (const row of ROWS) {
    const labels = [...each.labels.subarray(3 * row, 3 * row + 3)]
    const right = labels.filter((label, token) => {
      const scores = at(row, token)
      return label !== -100 && scores.indexOf(Math.max(...scores)) === label
    })
    t.equal(correct![row], right.length)
    t.equal(counted![row], labels.filter((label) => label !== -100).length)
  }
})

t.test('an evaluation counts every label of a sample that has several of yes and no', async (t) => {
  const each = LOSS_CASES['bce of soft labels']!
  for (const end of [undefined, sigmoid]) {
    const { correct, counted } = await evaluate(scoresModel(each, end), batchOf(each), { loss: each.loss })
    for (const row of ROWS) {
      const right = [0, 1, 2].filter((i) => each.scores[3 * row + i]! > 0 === each.labels[3 * row + i]! > 0.5)
      t.equal(correct![row], right.length)
      t.equal(counted![row], 3)
    }
  }
})

t.test('an evaluation sums the distance of each sample, whatever the loss', async (t) => {
  for (const name of ['mse of a grid', 'l1 of a grid', 'huber of a grid']) {
    const each = LOSS_CASES[name]!
    const { errors, counted, correct } = await evaluate(scoresModel(each), batchOf(each), { loss: each.loss })
    t.equal(correct, undefined)
    for (const row of ROWS) {
      const distances = Array.from({ length: 6 }, (_, i) => Math.abs(each.scores[6 * row + i]! - each.labels[6 * row + i]!))
      t.ok(Math.abs(errors![row]! - distances.reduce((a, b) => a + b)) < 1e-5)
      t.equal(counted![row], 6)
    }
  }
})

t.test('of two classes or one answer of yes or no an evaluation gives the log of the odds', async (t) => {
  const two = LOSS_CASES['cross-entropy of two classes']!
  for (const end of [undefined, softmax('Softmax', 1), softmax('LogSoftmax', 1)]) {
    const { scores } = await evaluate(scoresModel(two, end), batchOf(two), { loss: two.loss })
    t.strictSame(
      [...scores!],
      ROWS.map((row) => Math.fround(two.scores[2 * row + 1]! - two.scores[2 * row]!)),
    )
  }
  const one = LOSS_CASES['bce of a column']!
  for (const end of [undefined, sigmoid]) {
    const { scores } = await evaluate(scoresModel(one, end), batchOf(one), { loss: one.loss })
    t.strictSame([...scores!], [...one.scores])
  }
  t.equal((await evaluate(scoresModel(LOSS_CASES.mse!), batchOf(LOSS_CASES.mse!), { loss: { kind: 'mse' } })).scores, undefined)
})

t.test('the area under the curve is the share of pairs in the right order, ties counting half', async () => {
  const sample = fc.record({ score: fc.integer({ min: -4, max: 4 }), positive: fc.boolean() })
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 40 }), (samples) => {
      const positives = samples.filter(({ positive }) => positive)
      const pairs = positives.flatMap((yes) => samples.filter(({ positive }) => !positive).map((no) => Math.sign(yes.score - no.score)))
      const area = areaUnderCurve(samples)
      if (pairs.length === 0) return area === undefined
      return Math.abs(area! - pairs.reduce<number>((sum, sign) => sum + (sign + 1) / 2, 0) / pairs.length) < 1e-12
    }),
  )
})
