// Operators that move numbers without changing them: whole axes joined, cut, turned, repeated or padded. By index: ./indexing.ts.
import { sizeOf } from '../../protocol/layout.ts'
import type { Builder } from '../builder.ts'
import { describeNode, intAttribute, intsAttribute, invalid, TYPE } from '../graph.ts'
import { axisOf, knownInts, knownSizes } from './arguments.ts'
import { broadcast, unbroadcast } from './broadcast.ts'
import type { Operator, Operators, Shape, ShapeContext } from './types.ts'

export const zeros = (b: Builder, dims: Shape): string => b.op('ConstantOfShape', [b.ints(dims)])

const Reshape: Operator = {
  shape(context) {
    const { node, shapes } = context
    const asked = knownInts(context, 1, 'a shape')
    const from = shapes[0]!
    const keepZero = intAttribute(node, 'allowzero', 0) === 1
    const dims = asked.map((dim, i) => (dim === 0 && !keepZero ? (from[i] ?? 0) : dim))
    const known = sizeOf(dims.filter((dim) => dim !== -1))
    const open = dims.indexOf(-1)
    if (open >= 0) dims[open] = sizeOf(from) / known
    if (sizeOf(dims) !== sizeOf(from) || dims.some((dim) => !Number.isInteger(dim) || dim < 0)) {
      throw invalid(
        `${describeNode(node)} makes [${asked.join(', ')}] of shape [${from.join(', ')}]; export the model with a dynamic batch axis.`,
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

const Concat: Operator = {
  shape({ node, shapes }) {
    const [first = []] = shapes
    const axis = axisOf(node, intAttribute(node, 'axis', 0), first.length)
    for (const dims of shapes) {
      if (dims.length !== first.length || dims.some((dim, i) => i !== axis && dim !== first[i])) {
        throw invalid(
          `${describeNode(node)} joins shapes [${first.join(', ')}] and [${dims.join(', ')}] along axis ${axis}, which do not fit.`,
        )
      }
    }
    return first.map((dim, i) => (i === axis ? shapes.reduce((sum, dims) => sum + dims[axis]!, 0) : dim))
  },
  gradient({ node, b, grad, shape, shapes }) {
    const axis = axisOf(node, intAttribute(node, 'axis', 0), shape.length)
    return b.ops('Split', [grad, b.ints(shapes.map((dims) => dims[axis]!))], shapes.length, { axis: { int: axis } })
  },
}

/** The sizes are a constant input; see ../decompositions/shaping.ts. */
const Split: Operator = {
  shapes(context) {
    const { node, shapes } = context
    const dims = shapes[0]!
    const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length)
    const sizes = knownSizes(context, 1, 'sizes')
    const sum = sizes.reduce((sum, size) => sum + size, 0)
    if (sum !== dims[axis] || sizes.length !== node.outputs.length || node.outputs.includes('')) {
      throw invalid(
        `${describeNode(node)} cuts ${dims[axis]} into [${sizes.join(', ')}] for ${node.outputs.length} outputs, which do not fit.`,
      )
    }
    return sizes.map((size) => dims.map((dim, i) => (i === axis ? size : dim)))
  },
  gradient(context) {
    const { node, b, grads, shapes } = context
    const dims = shapes[0]!
    const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length)
    const sizes = knownSizes(context, 1, 'sizes')
    const parts = sizes.map(
      (size, k) =>
        grads[k] ??
        zeros(
          b,
          dims.map((dim, i) => (i === axis ? size : dim)),
        ),
    )
    return [b.op('Concat', parts, { axis: { int: axis } })]
  },
}

const Expand: Operator = {
  shape: (context) => broadcast(context.node, context.shapes[0]!, knownSizes(context, 1, 'a shape')),
  gradient: ({ b, grad, shape, shapes }) => [unbroadcast(b, grad, shape, shapes[0]!)],
}

/** The gradient sums over the copies, as axes of their own. */
const Tile: Operator = {
  shape(context) {
    const { node, shapes } = context
    const repeats = knownSizes(context, 1, 'repeats')
    if (repeats.length !== shapes[0]!.length) {
      throw invalid(`${describeNode(node)} repeats shape [${shapes[0]!.join(', ')}] [${repeats.join(', ')}] times, which do not fit.`)
    }
    return shapes[0]!.map((dim, i) => dim * repeats[i]!)
  },
  gradient(context) {
    const { b, grad, shapes } = context
    const repeats = knownSizes(context, 1, 'repeats')
    const copies = b.op('Reshape', [grad, b.ints(shapes[0]!.flatMap((dim, i) => [repeats[i]!, dim]))])
    return [b.op('ReduceSum', [copies, b.ints(repeats.map((_, i) => 2 * i))], { keepdims: { int: 0 } })]
  },
}

/** With a constant, for all axes; see ../decompositions/padding.ts. Negative counts crop. */
const Pad: Operator = {
  shape(context) {
    const { node, shapes } = context
    const dims = shapes[0]!
    const pads = knownInts(context, 1, 'pads')
    const result = dims.map((dim, i) => dim + (pads[i] ?? 0) + (pads[i + dims.length] ?? 0))
    if (pads.length !== 2 * dims.length || result.some((dim) => dim < 0)) {
      throw invalid(`${describeNode(node)} pads shape [${dims.join(', ')}] by [${pads.join(', ')}], which do not fit.`)
    }
    return result
  },
  gradient(context) {
    const { b, grad } = context
    return [b.op('Pad', [grad, b.ints(knownInts(context, 1, 'pads').map((count) => -count))])]
  },
}

/** A triangle of zeros, in the gradient as in the result. */
const Trilu: Operator = {
  shape: ({ shapes }) => shapes[0]!,
  gradient: ({ node, b, grad }) => [b.op('Trilu', [grad, ...node.inputs.slice(1)], node.attributes)],
}

/** Larger than what is folded. */
const ConstantOfShape: Operator = {
  shape: (context) => knownSizes(context, 0, 'a shape'),
  type({ node }) {
    const value = node.attributes.value
    return value !== undefined && 'tensor' in value ? value.tensor.type : TYPE.float32
  },
}

const OneHot: Operator = {
  shape(context) {
    const { node, shapes } = context
    const [depth = 0] = knownSizes(context, 1, 'a depth')
    const axis = axisOf(node, intAttribute(node, 'axis', -1), shapes[0]!.length + 1)
    return shapes[0]!.toSpliced(axis, 0, depth)
  },
  type: ({ types }) => types[2]!,
}

export const shaping: Operators = { Reshape, Transpose, Concat, Split, Expand, Tile, Pad, Trilu, ConstantOfShape, OneHot }
