// Folds of operators that give the same values another shape, another order, or repeat them.
import { sizeOf } from '../../protocol/layout.ts'
import { intAttribute, intsAttribute, type Tensor } from '../graph.ts'
import { broadcast } from '../operators/broadcast.ts'
import type { Shape } from '../operators/types.ts'
import { axesOf, type Fold, type FoldContext, type Folds, fits, integers, malformed, spread, stridesOf, take, walk } from './values.ts'

const view = ({ type, data }: Tensor, dims: Shape): Tensor => ({ type, dims, data })

/** Axes as an input (since operator set 13 or 18) or as an attribute (before). */
export const givenAxes = (context: FoldContext): readonly number[] | undefined =>
  context.optional(1) === undefined ? intsAttribute(context.node, 'axes') : integers(context, 1)

/** A shape given as an input; lengths that no tensor can have are refused. */
export function givenShape(context: FoldContext, index: number, least = 0): number[] {
  const dims = integers(context, index)
  if (context.input(index).dims.length !== 1 || dims.some((dim) => dim < least)) {
    throw malformed(context.node, `is given the shape [${dims.join(', ')}]`)
  }
  return dims
}

const Reshape: Fold = (context) => {
  const { node, input } = context
  const from = input(0).dims
  const asked = givenShape(context, 1, -1)
  const keepZero = intAttribute(node, 'allowzero', 0) === 1
  const dims = asked.map((dim, i) => (dim === 0 && !keepZero ? (from[i] ?? -1) : dim))
  const open = asked.indexOf(-1)
  if (open >= 0) dims[open] = sizeOf(from) / sizeOf(dims.filter((_, i) => i !== open))
  if (dims.some((dim) => !Number.isInteger(dim) || dim < 0) || sizeOf(dims) !== sizeOf(from)) {
    throw malformed(node, `makes [${asked.join(', ')}] of shape [${from.join(', ')}]`)
  }
  return fits(dims) ? view(input(0), dims) : undefined
}

const Flatten: Fold = ({ node, input }) => {
  const { dims } = input(0)
  const axis = intAttribute(node, 'axis', 1)
  const front = axis < 0 ? axis + dims.length : axis
  if (front < 0 || front > dims.length) throw malformed(node, `flattens at axis ${axis} of ${dims.length}`)
  return view(input(0), [sizeOf(dims.slice(0, front)), sizeOf(dims.slice(front))])
}

const Squeeze: Fold = (context) => {
  const { node, input } = context
  const { dims } = input(0)
  const given = givenAxes(context)
  const axes = given?.length ? axesOf(node, given, dims.length) : [...dims.keys()].filter((axis) => dims[axis] === 1)
  if (axes.some((axis) => dims[axis] !== 1)) throw malformed(node, `removes axes [${axes.join(', ')}] of shape [${dims.join(', ')}]`)
  return view(
    input(0),
    dims.filter((_, axis) => !axes.includes(axis)),
  )
}

const Unsqueeze: Fold = (context) => {
  const { node, input } = context
  const given = givenAxes(context)
  if (given === undefined) throw malformed(node, 'names no axes')
  const rank = input(0).dims.length + given.length
  const axes = new Set(axesOf(node, given, rank))
  const rest = input(0).dims.values()
  const dims = Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : rest.next().value!))
  return fits(dims) ? view(input(0), dims) : undefined
}

const Transpose: Fold = ({ node, input }) => {
  const { dims } = input(0)
  const perm = intsAttribute(node, 'perm') ?? [...dims.keys()].reverse()
  if (perm.length !== dims.length || axesOf(node, perm, dims.length).some((axis, i) => axis !== perm[i])) {
    throw malformed(node, `has perm [${perm.join(', ')}] for shape [${dims.join(', ')}]`)
  }
  const strides = stridesOf(dims)
  const result = perm.map((axis) => dims[axis]!)
  const positions = walk(
    result,
    perm.map((axis) => strides[axis]!),
  )
  return take(input(0), result, positions)
}

const Expand: Fold = (context) => {
  const dims = broadcast(context.node, context.input(0).dims, givenShape(context, 1))
  return fits(dims) ? take(context.input(0), dims, spread(context.input(0).dims, dims)) : undefined
}

const Tile: Fold = (context) => {
  const { node, input } = context
  const repeats = givenShape(context, 1)
  const { dims } = input(0)
  if (repeats.length !== dims.length) throw malformed(node, `repeats shape [${dims.join(', ')}] by [${repeats.join(', ')}]`)
  const result = dims.map((dim, axis) => dim * repeats[axis]!)
  if (!fits(result)) return undefined
  // Each axis of the result as two: the repeats, which stay in place, and the axis itself.
  const strides = stridesOf(dims)
  const positions = walk(
    dims.flatMap((dim, axis) => [repeats[axis]!, dim]),
    strides.flatMap((stride) => [0, stride]),
  )
  return take(input(0), result, positions)
}

export const shaping: Folds = {
  Identity: ({ input }) => input(0),
  Reshape,
  Flatten,
  Squeeze,
  Unsqueeze,
  Transpose,
  Expand,
  Tile,
}
