// Gradients of whole models and at their edges; each operator's is in gradients/, all against central differences of
// an independent float64 interpreter.
import t from 'tap'
import { SUPPORTED_OPERATORS, splitWeights } from '../../models/index.ts'
import { zooModel } from '../../models/zoo/index.ts'
import { checkGradient, graphOf, testGradients, toClasses, whole } from './cases/case.ts'
import { CASES } from './cases/index.ts'
import { buildModel, train } from './helpers.ts'

testGradients(
  t,
  ['Softmax', 'LogSoftmax'].map((name) => ({
    name: `a model that ends in ${name}`,
    make: () => ({ model: buildModel([6], (parts, x) => parts.b.op(name, [toClasses(parts, x, 6)], whole({ axis: 1 }))), shape: [6] }),
  })),
)

t.test('tied maxima of a pool share the gradient equally', async (t) => {
  const shape = [1, 2, 2]
  const model = buildModel(shape, (parts, x) => {
    const { b } = parts
    b.constants.set('moved', { type: 1, dims: shape, data: new Uint8Array(16) })
    return toClasses(parts, b.op('MaxPool', [b.op('Add', [x, 'moved'])], whole({ kernel_shape: [2, 2], strides: [2, 2] })), 1)
  })
  const { layout } = splitWeights(model)
  const { offset } = layout.find(({ name }) => name === 'moved')!
  const { params } = await train(model, { x: Float32Array.of(7, 7, 1, 7), y: Int32Array.of(0), shape }, [[0]])
  const [a, b, c, d] = params.subarray(offset, offset + 4)
  t.not(a, 0)
  t.equal(a, b)
  t.equal(c, 0)
  t.equal(a, d)
})

for (const [name, samples, batch] of [
  ['mnist-cnn', 4, 2],
  ['mnist-mlp', 6, 3],
  ['softmax', 12, 3],
] as const) {
  t.test(`the gradient of ${name} is that of its specification`, async (t) => {
    const { worst } = await checkGradient(zooModel(name, 1), [1, 28, 28], { samples, batch })
    t.ok(worst < 1e-4, `relative error ${worst}`)
  })
}

t.test('every supported operator is among the cases, and no two cases have one name', async (t) => {
  const seen = new Set(CASES.flatMap(({ make }) => graphOf(make().model).nodes.map(({ op }) => op)))
  t.strictSame(
    SUPPORTED_OPERATORS.filter((name) => !seen.has(name)),
    [],
  )
  const names = CASES.map(({ name }) => name)
  t.strictSame(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  )
})
