// Sums, means and extremes along axes, and what is told of axes. Their axes are constant inputs, see ../decompositions/reductions.ts.
import { sizeOf } from '../../protocol/layout.ts'
import { describeNode, intAttribute, invalid, TYPE } from '../graph.ts'
import { axisOf, knownInts } from './arguments.ts'
import { toFloat } from './elementwise.ts'
import type { GradientContext, Operator, Operators, Shape, ShapeContext } from './types.ts'

/** The reduced axes, counted from the front. */
const axesOf = (context: ShapeContext): number[] =>
  knownInts(context, 1, 'axes').map((axis) => axisOf(context.node, axis, context.shapes[0]!.length))

const without = (node: ShapeContext['node'], dims: Shape, axes: readonly number[]): Shape =>
  intAttribute(node, 'keepdims', 1) ? dims.map((dim, i) => (axes.includes(i) ? 1 : dim)) : dims.filter((_, i) => !axes.includes(i))

/** `value`, a result, with the reduced axes as ones, so that it broadcasts to the input. */
function keep(context: GradientContext, value: string): string {
  const { b, shapes, node } = context
  if (intAttribute(node, 'keepdims', 1)) return value
  const axes = axesOf(context)
  return b.op('Reshape', [value, b.ints(shapes[0]!.map((dim, i) => (axes.includes(i) ? 1 : dim)))])
}

/** @param gradient dL/dx from dL/dy with the reduced axes kept */
const reduction = (gradient: (context: GradientContext, grad: string) => string): Operator => ({
  shape: (context) => without(context.node, context.shapes[0]!, axesOf(context)),
  gradient: (context) => [gradient(context, keep(context, context.grad))],
})

const result = (context: GradientContext): string => keep(context, context.node.outputs[0]!)

const repeat = ({ b, shapes }: GradientContext, value: string): string => b.op('Expand', [value, b.ints(shapes[0]!)])

/** The numbers that equal the extreme share its gradient, as in PyTorch's amax. */
const extreme = reduction((context, grad) => {
  const { b, node } = context
  const isExtreme = toFloat(b, b.op('Equal', [node.inputs[0]!, result(context)]))
  const count = b.op('ReduceSum', [isExtreme, b.ints(axesOf(context))], { keepdims: { int: 1 } })
  return b.op('Mul', [isExtreme, b.op('Div', [grad, count])])
})

/** dx = dy times the product of the others: y / x without zeros; with one, the product of the rest there and 0 elsewhere; else 0. */
const ReduceProd = reduction((context, grad) => {
  const { b, node } = context
  const x = node.inputs[0]!
  const along = (op: string, value: string) => b.op(op, [value, b.ints(axesOf(context))], { keepdims: { int: 1 } })
  const isZero = b.op('Equal', [x, b.scalar(0)])
  const nonzero = b.op('Where', [isZero, b.scalar(1), x])
  const others = b.op('Div', [along('ReduceProd', nonzero), nonzero])
  const zerosAmongOthers = b.op('Sub', [along('ReduceSum', toFloat(b, isZero)), toFloat(b, isZero)])
  return b.op('Mul', [grad, b.op('Where', [b.op('Equal', [zerosAmongOthers, b.scalar(0)]), others, b.scalar(0)])])
})

/** The gradient is another running sum, from the other end. */
const CumSum: Operator = {
  shape: ({ shapes }) => shapes[0]!,
  gradient({ node, b, grad }) {
    const reverse = { int: 1 - intAttribute(node, 'reverse', 0) }
    return [b.op('CumSum', [grad, node.inputs[1]!], { ...node.attributes, reverse })]
  },
}

const position: Operator = {
  shape: ({ node, shapes }) => without(node, shapes[0]!, [axisOf(node, intAttribute(node, 'axis', 0), shapes[0]!.length)]),
  type: () => TYPE.int64,
}

/** TopK's second result; the first is what GatherElements takes with it. */
const topIndices: Operator = {
  shape(context) {
    const { node, shapes } = context
    const dims = shapes[0]!
    const axis = axisOf(node, intAttribute(node, 'axis', -1), dims.length)
    const [k = 0] = knownInts(context, 1, 'a count')
    if (k < 0 || k > dims[axis]!) throw invalid(`${describeNode(node)} takes the top ${k} of ${dims[axis]}.`)
    return dims.map((dim, i) => (i === axis ? k : dim))
  },
  type: () => TYPE.int64,
  emit({ node, b }) {
    b.add({ ...node, op: 'TopK', outputs: [`${node.outputs[0]}_values`, node.outputs[0]!] })
  },
}

export const reductions: Operators = {
  ReduceSum: reduction(repeat),
  ReduceMean: reduction((context, grad) => {
    const { b, shapes, shape } = context
    return repeat(context, b.op('Div', [grad, b.scalar(sizeOf(shapes[0]!) / sizeOf(shape))]))
  }),
  ReduceMax: extreme,
  ReduceMin: extreme,
  ReduceProd,
  // y = log(sum(exp(x))), so dx = dy exp(x - y)
  ReduceLogSumExp: reduction((context, grad) => {
    const { b, node } = context
    return b.op('Mul', [grad, b.op('Exp', [b.op('Sub', [node.inputs[0]!, result(context)])])])
  }),
  CumSum,
  ArgMax: position,
  ArgMin: position,
  'own.TopIndices': topIndices,
}
