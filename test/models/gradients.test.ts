// Every operator's gradient against central differences of an independent float64 interpreter.
import t from 'tap'
import type { Attribute } from '../../models/graph.ts'
import { loadModel, SUPPORTED_OPERATORS, splitWeights } from '../../models/index.ts'
import { decodeGraph, parseModel } from '../../models/serialize.ts'
import { zooModel } from '../../models/zoo/index.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { createPrng } from '../../protocol/prng.ts'
import { buildModel, normals, type Parts, train } from './helpers.ts'
import { referenceLoss } from './reference.ts'

/** So small that no rectifier or maximum changes sides within it. */
const STEP = 1e-7
const BATCH = 3
const CLASSES = 4

interface Check {
  worst: number
  loss: number
  expectedLoss: number
}

/** Largest error of the compiled gradient, relative to the largest gradient of its tensor, over `samples` numbers of each tensor. */
async function checkGradient(model: Uint8Array, shape: readonly number[], samples = 24, batch = BATCH): Promise<Check> {
  const prng = createPrng('gradient check')
  const x = normals(prng, batch * sizeOf(shape))
  const y = Int32Array.from({ length: batch }, () => prng.int(CLASSES))
  const { layout, params } = splitWeights(model)
  // One step of plain gradient descent at rate 1 moves the parameters by minus the gradient.
  const { params: moved, losses } = await train(model, { x, y, shape }, [Array.from(y, (_, i) => i)])
  const graph = decodeGraph(parseModel(model).graph!)
  let worst = 0
  for (const { name, shape: dims, offset } of layout) {
    const size = sizeOf(dims)
    const values = Float64Array.from(params.subarray(offset, offset + size))
    const chosen = size <= samples ? [...values.keys()] : Array.from({ length: samples }, () => prng.int(size))
    let scale = 1e-3
    let error = 0
    for (const at of chosen) {
      const loss = (delta: number) => {
        const changed = values.slice()
        changed[at]! += delta
        return referenceLoss(graph, x, y, new Map([[name, changed]]))
      }
      const expected = (loss(STEP) - loss(-STEP)) / (2 * STEP)
      scale = Math.max(scale, Math.abs(expected))
      error = Math.max(error, Math.abs(params[offset + at]! - moved[offset + at]! - expected))
    }
    worst = Math.max(worst, error / scale)
  }
  return { worst, loss: losses[0]!, expectedLoss: referenceLoss(graph, x, y) }
}

/** Input plus a trainable tensor of its shape, so that the gradient to the operator's input is checked as well. */
const movable = ({ b, weight }: Parts, input: string, shape: number[]) => b.op('Add', [input, weight('moved', shape)])

function toClasses({ b, weight }: Parts, value: string, size: number): string {
  return b.op('MatMul', [b.op('Flatten', [value], { axis: { int: 1 } }), weight('head', [size, CLASSES])])
}

type Build = (parts: Parts, value: string) => string
type Attributes = Record<string, Attribute>
const ints = (...values: number[]) => ({ ints: values })

/** A case: what it is called, the sample's shape, the operator on it, and how many numbers a sample comes out as. */
const CASES: [string, number[], Build, number][] = []

const op = (name: string, shape: number[], size: number, build: Build) => CASES.push([name, shape, build, size])

for (const name of ['Relu', 'Sigmoid', 'Tanh', 'Identity']) op(name, [5], 5, ({ b }, x) => b.op(name, [x]))
for (const name of ['Softmax', 'LogSoftmax']) {
  op(`${name} in the middle`, [3, 4], 12, ({ b }, x) => b.op(name, [x]))
  op(`${name} over axis 1`, [3, 4], 12, ({ b }, x) => b.op(name, [x], { axis: { int: 1 } }))
}
for (const name of ['Add', 'Sub', 'Mul', 'Div']) {
  op(`${name} of equal shapes`, [2, 3], 6, ({ b, weight }, x) => b.op(name, [x, weight('w', [1, 2, 3], 3)]))
  op(`${name} broadcast on the right`, [2, 3], 6, ({ b, weight }, x) => b.op(name, [x, weight('w', [3], 3)]))
  op(`${name} broadcast on the left`, [2, 3], 6, ({ b, weight }, x) => b.op(name, [weight('w', [2, 1], 3), b.op('Add', [x, b.scalar(9)])]))
}
op('a value used twice', [4], 4, ({ b }, x) => b.op('Mul', [x, b.op('Sigmoid', [x])]))
op('MatMul by a matrix', [5], 3, ({ b, weight }, x) => b.op('MatMul', [x, weight('w', [5, 3])]))
op('MatMul of rows by a matrix', [2, 5], 6, ({ b, weight }, x) => b.op('MatMul', [x, weight('w', [5, 3])]))
op('MatMul of batches', [2, 5], 6, ({ b, weight }, x) => b.op('MatMul', [x, weight('w', [1, 5, 3])]))
op('MatMul by the input', [5, 2], 6, ({ b, weight }, x) => b.op('MatMul', [weight('w', [3, 5]), x]))
for (const transA of [0, 1]) {
  for (const transB of [0, 1]) {
    op(`Gemm transA ${transA} transB ${transB}`, [5], 3, ({ b, weight }, x) => {
      const a = transA ? b.op('Transpose', [x]) : x
      const w = weight('w', transB ? [3, 5] : [5, 3])
      const attributes: Attributes = { transA: { int: transA }, transB: { int: transB }, alpha: { float: 0.5 }, beta: { float: 2 } }
      return b.op('Gemm', [a, w, weight('c', [3])], attributes)
    })
  }
}
op('Gemm without a bias', [5], 3, ({ b, weight }, x) => b.op('Gemm', [x, weight('w', [5, 3])]))
op('Reshape, Transpose, Squeeze, Unsqueeze', [2, 6], 12, ({ b, weight }, x) => {
  const turned = b.op('Transpose', [b.op('Reshape', [x, b.ints([0, 3, -1])])], { perm: ints(0, 2, 1) })
  const wide = b.op('Unsqueeze', [turned, b.ints([1])])
  return b.op('Mul', [b.op('Squeeze', [wide, b.ints([1])]), weight('w', [4, 3])])
})
for (const name of ['ReduceSum', 'ReduceMean']) {
  op(`${name} of the last axis`, [3, 4], 3, ({ b }, x) => b.op(name, [x, b.ints([-1])], { keepdims: { int: 0 } }))
  op(`${name} that keeps its axes`, [3, 4], 3, ({ b }, x) => b.op(name, [x, b.ints([2])]))
}

function conv(name: string, image: number[], to: number, kernel: number[], out: number, attributes: Attributes, bias = true): void {
  op(`Conv ${name}`, image, to * out, ({ b, weight }, x) =>
    b.op('Conv', [x, weight('w', [to, image[0]!, ...kernel]), ...(bias ? [weight('bias', [to])] : [])], attributes),
  )
}
for (const channels of [2, 9]) {
  const of = `of ${channels} channels`
  conv(`${of}, padded`, [channels, 5, 4], 3, [3, 3], 20, { pads: ints(1, 1, 1, 1) })
  conv(`${of}, unpadded, no bias`, [channels, 5, 4], 3, [3, 2], 9, {}, false)
  conv(`${of}, strided with rows left over`, [channels, 6, 7], 2, [3, 3], 6, { strides: ints(2, 2) })
  conv(`${of}, dilated, padded unevenly`, [channels, 6, 6], 2, [2, 3], 15, {
    dilations: ints(2, 2),
    pads: ints(0, 1, 1, 2),
    strides: ints(1, 2),
  })
  conv(`${of}, SAME_UPPER`, [channels, 5, 5], 2, [2, 2], 9, { auto_pad: { string: 'SAME_UPPER' }, strides: ints(2, 2) })
}
function pools(name: string, image: number[], size: number, attributes: Attributes): void {
  for (const kind of ['MaxPool', 'AveragePool']) op(`${kind} ${name}`, image, size, ({ b }, x) => b.op(kind, [x], attributes))
}
pools('2x2', [2, 4, 6], 12, { kernel_shape: ints(2, 2), strides: ints(2, 2) })
pools('3x2 with rows left over', [2, 7, 5], 8, { kernel_shape: ints(3, 2), strides: ints(3, 2) })
pools('overlapping', [2, 5, 5], 8, { kernel_shape: ints(3, 3), strides: ints(2, 2) })
pools('overlapping and padded', [2, 5, 5], 18, { kernel_shape: ints(3, 3), strides: ints(2, 2), pads: ints(1, 1, 1, 1) })
pools('with ceil_mode', [2, 5, 6], 18, { kernel_shape: ints(2, 2), strides: ints(2, 2), ceil_mode: { int: 1 } })
op('AveragePool that counts its padding', [2, 5, 5], 18, ({ b }, x) =>
  b.op('AveragePool', [x], { kernel_shape: ints(3, 3), strides: ints(2, 2), pads: ints(1, 1, 1, 1), count_include_pad: { int: 1 } }),
)
op('GlobalAveragePool', [3, 4, 2], 3, ({ b }, x) => b.op('GlobalAveragePool', [x]))
op('GlobalMaxPool', [3, 4, 2], 3, ({ b }, x) => b.op('GlobalMaxPool', [x]))
op('Relu before MaxPool', [2, 4, 4], 8, ({ b }, x) =>
  b.op('MaxPool', [b.op('Relu', [x])], { kernel_shape: ints(2, 2), strides: ints(2, 2) }),
)

for (const [name, shape, build, size] of CASES) {
  t.test(`the gradient of ${name} is that of its specification`, async (t) => {
    const model = buildModel(shape, (parts, input) => toClasses(parts, build(parts, movable(parts, input, shape)), size))
    const { worst, loss, expectedLoss } = await checkGradient(model, shape)
    t.ok(Math.abs(loss - expectedLoss) < 1e-4 * (1 + expectedLoss), `loss ${loss}, expected ${expectedLoss}`)
    t.ok(worst < 1e-4, `relative error ${worst}`)
  })
}

for (const name of ['Softmax', 'LogSoftmax']) {
  t.test(`a ${name} at the end of the model is part of the loss`, async (t) => {
    const model = buildModel([6], (parts, x) => parts.b.op(name, [toClasses(parts, x, 6)], { axis: { int: 1 } }))
    const { worst, loss, expectedLoss } = await checkGradient(model, [6])
    t.ok(Math.abs(loss - expectedLoss) < 1e-5, `loss ${loss}, expected ${expectedLoss}`)
    t.ok(worst < 1e-4, `relative error ${worst}`)
  })
}

t.test('tied maxima of a pool share the gradient equally', async (t) => {
  const shape = [1, 2, 2]
  const model = buildModel(shape, (parts, x) => {
    const { b } = parts
    b.constants.set('moved', { type: 1, dims: shape, data: new Uint8Array(16) })
    return toClasses(parts, b.op('MaxPool', [b.op('Add', [x, 'moved'])], { kernel_shape: ints(2, 2), strides: ints(2, 2) }), 1)
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
    const { worst } = await checkGradient(zooModel(name, 1), [1, 28, 28], samples, batch)
    t.ok(worst < 1e-4, `relative error ${worst}`)
  })
}

t.test('every supported operator is among the cases', async (t) => {
  const seen = new Set(['Constant'])
  for (const [, shape, build, size] of CASES) {
    const model = buildModel(shape, (parts, input) => toClasses(parts, build(parts, movable(parts, input, shape)), size))
    for (const node of loadModel(model, LIMITS.payloadBytes).graph.nodes) seen.add(node.op)
  }
  t.strictSame(
    SUPPORTED_OPERATORS.filter((name) => !seen.has(name)),
    [],
  )
})
