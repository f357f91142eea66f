// Operators that move numbers without changing them, and sums along axes.
import { sizeOf } from '../../protocol/layout.ts'
import { describeNode, intAttribute, intsAttribute, intsOf, invalid } from '../graph.ts'
import type { Operator, Operators, Shape, ShapeContext } from './types.ts'

const Reshape: Operator = {
  shape({ node, shapes, constant }) {
    const asked = constant(1)
    if (asked === undefined) throw invalid(`${describeNode(node)} takes a shape that is only known when the model runs; fix it at export.`)
    const from = shapes[0]!
    const keepZero = intAttribute(node, 'allowzero', 0) === 1
    const dims = intsOf(asked).map((dim, i) => (dim === 0 && !keepZero ? (from[i] ?? 0) : dim))
    const known = sizeOf(dims.filter((dim) => dim !== -1))
    const open = dims.indexOf(-1)
    if (open >= 0) dims[open] = sizeOf(from) / known
    if (sizeOf(dims) !== sizeOf(from) || dims.some((dim) => !Number.isInteger(dim) || dim < 0)) {
      throw invalid(
        `${describeNode(node)} makes [${intsOf(asked).join(', ')}] of shape [${from.join(', ')}]; export the model with a dynamic batch axis.`,
      )
    }
    return dims
  },
  gradient: ({ b, grad, shapes }) => [b.op('Reshape', [grad, b.ints(shapes[0]!)])],
}

const permOf = ({ node, shapes }: ShapeContext): readonly number[] => {
  const rank = shapes[0]!.length
  const perm = intsAttribute(node, 'perm') ?? [...Array(rank).keys()].reverse()
  if (perm.length !== rank || new Set(perm).size !== rank || perm.some((axis) => axis < 0 || axis >= rank)) {
    throw invalid(`${describeNode(node)} has perm [${perm.join(', ')}] for shape [${shapes[0]!.join(', ')}].`)
  }
  return perm
}

const Transpose: Operator = {
  shape: (context) => permOf(context).map((axis) => context.shapes[0]![axis]!),
  gradient(context) {
    const perm = permOf(context)
    return [context.b.op('Transpose', [context.grad], { perm: { ints: perm.map((_, i) => perm.indexOf(i)) } })]
  },
}

/** The reduced axes, counted from the front. */
function axesOf({ node, shapes, constant }: ShapeContext): number[] {
  const rank = shapes[0]!.length
  const given = node.inputs[1] ? constant(1) : undefined
  if (node.inputs[1] && given === undefined) throw invalid(`${describeNode(node)} takes axes that are only known when the model runs.`)
  const asked = given === undefined ? [] : intsOf(given)
  const axes = asked.length > 0 ? asked.map((axis) => (axis < 0 ? axis + rank : axis)) : [...Array(rank).keys()]
  if (axes.some((axis) => axis < 0 || axis >= rank)) throw invalid(`${describeNode(node)} reduces axis ${asked} of ${rank}.`)
  return axes
}

/** Sum and mean: every number that went in gets the gradient, divided by their count for the mean. */
const reduce = (mean: boolean): Operator => ({
  shape(context) {
    const axes = axesOf(context)
    const dims = context.shapes[0]!
    if (intAttribute(context.node, 'keepdims', 1)) return dims.map((dim, i) => (axes.includes(i) ? 1 : dim))
    return dims.filter((_, i) => !axes.includes(i))
  },
  gradient(context) {
    const { b, grad, shapes, shape } = context
    const axes = axesOf(context)
    const from: Shape = shapes[0]!
    const kept = from.map((dim, i) => (axes.includes(i) ? 1 : dim))
    const share = mean ? b.op('Div', [grad, b.scalar(sizeOf(from) / sizeOf(shape))]) : grad
    return [b.op('Expand', [b.op('Reshape', [share, b.ints(kept)]), b.ints(from)])]
  },
})

export const shaping: Operators = { Reshape, Transpose, ReduceSum: reduce(false), ReduceMean: reduce(true) }
