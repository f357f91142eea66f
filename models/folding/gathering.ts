// Folds of operators that take or place values where indices say.
import { sizeOf } from '../../protocol/layout.ts'
import { intAttribute, type Node, stringAttribute, type Tensor } from '../graph.ts'
import {
  axisOf,
  type Fold,
  type FoldContext,
  type Folds,
  fits,
  integer,
  integers,
  malformed,
  put,
  stridesOf,
  take,
  walk,
  withDim,
} from './values.ts'

/** An index counted from the front. @throws model-invalid */
function indexOf(node: Node, index: number, dim: number): number {
  const front = index < 0 ? index + dim : index
  if (!(front >= 0 && front < dim)) throw malformed(node, `takes index ${index} of ${dim}`)
  return front
}

const Gather: Fold = (context) => {
  const { node, input } = context
  const [x, at] = [input(0), input(1)]
  const axis = axisOf(node, intAttribute(node, 'axis', 0), x.dims.length)
  const dims = [...x.dims.slice(0, axis), ...at.dims, ...x.dims.slice(axis + 1)]
  if (!fits(dims)) return undefined
  const indices = integers(context, 1).map((index) => indexOf(node, index, x.dims[axis]!))
  const strides = stridesOf(x.dims)
  // Where index 0 would be taken, and for which of the indices that is.
  const bases = walk(dims, [...strides.slice(0, axis), ...at.dims.map(() => 0), ...strides.slice(axis + 1)])
  const which = walk(dims, [...strides.slice(0, axis).fill(0), ...stridesOf(at.dims), ...strides.slice(axis + 1).fill(0)])
  return take(
    x,
    dims,
    bases.map((base, i) => base + indices[which[i]!]! * strides[axis]!),
  )
}

/** Positions in the first input that the indices in the second name, each along `axis` only. */
function elementPositions(context: FoldContext): Int32Array {
  const { node, input } = context
  const { dims } = input(0)
  const at = input(1)
  const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length)
  if (at.dims.length !== dims.length || at.dims.some((dim, i) => i !== axis && dim > dims[i]!)) {
    throw malformed(node, `has indices of shape [${at.dims.join(', ')}] into [${dims.join(', ')}]`)
  }
  const strides = stridesOf(dims)
  const indices = integers(context, 1)
  return walk(at.dims, withDim(strides, axis, 0)).map((base, i) => base + indexOf(node, indices[i]!, dims[axis]!) * strides[axis]!)
}

/** Positions in the first input that the rows of the second name, each the start of a block of shape `block`. */
function rowPositions(context: FoldContext, batchDims: number): { positions: Int32Array; dims: number[] } | undefined {
  const { node, input } = context
  const { dims } = input(0)
  const at = input(1).dims
  const depth = at.at(-1)
  const first = at.slice(0, batchDims)
  if (depth === undefined || batchDims < 0 || batchDims >= at.length || batchDims + depth > dims.length || depth < 1) {
    throw malformed(node, `has indices of shape [${at.join(', ')}] into [${dims.join(', ')}]`)
  }
  if (first.some((dim, i) => dim !== dims[i])) throw malformed(node, `has batches [${first.join(', ')}] in [${dims.join(', ')}]`)
  const rows = at.slice(0, -1)
  const block = dims.slice(batchDims + depth)
  const result = [...rows, ...block]
  if (!fits(result)) return undefined
  const indices = integers(context, 1)
  const strides = stridesOf(dims)
  const starts = walk(
    rows,
    rows.map((_, i) => (i < batchDims ? strides[i]! : 0)),
  ).map((start, row) => {
    let position = start
    for (let i = 0; i < depth; i++) {
      const axis = batchDims + i
      position += indexOf(node, indices[row * depth + i]!, dims[axis]!) * strides[axis]!
    }
    return position
  })
  const size = sizeOf(block)
  const positions = new Int32Array(sizeOf(result)).map((_, i) => starts[Math.floor(i / size)]! + (i % size))
  return { positions, dims: result }
}

const GatherND: Fold = (context) => {
  const rows = rowPositions(context, intAttribute(context.node, 'batch_dims', 0))
  return rows && take(context.input(0), rows.dims, rows.positions)
}

/** The first input with the third one's values at `positions`. Sums and products of several are left to the runtime. */
function scatter({ node, input }: FoldContext, dims: readonly number[], positions: Int32Array): Tensor | undefined {
  if (stringAttribute(node, 'reduction', 'none') !== 'none') return undefined
  const [x, updates] = [input(0), input(2)]
  if (updates.type !== x.type || updates.dims.join() !== dims.join()) {
    throw malformed(node, `places values of shape [${updates.dims.join(', ')}] where indices ask for [${dims.join(', ')}]`)
  }
  const result = { ...x, data: x.data!.slice() }
  put(result, updates, positions)
  return result
}

const ScatterND: Fold = (context) => {
  const rows = rowPositions(context, 0)
  return rows && scatter(context, rows.dims, rows.positions)
}

const OneHot: Fold = (context) => {
  const { node, input } = context
  const at = input(0)
  const [depth, values] = [integer(context, 1), input(2)]
  if (depth < 1 || values.dims.join() !== '2' || at.dims.length === 0) {
    throw malformed(node, `makes ${depth} of values of shape [${values.dims.join(', ')}] for indices of shape [${at.dims.join(', ')}]`)
  }
  const axis = axisOf(node, intAttribute(node, 'axis', -1), at.dims.length + 1)
  const dims = at.dims.toSpliced(axis, 0, depth)
  if (!fits(dims)) return undefined
  // An index that is out of range names no place.
  const indices = integers(context, 0).map((index) => (index < 0 ? index + depth : index))
  const which = walk(dims, stridesOf(at.dims).toSpliced(axis, 0, 0))
  const place = walk(
    dims,
    dims.map((_, i) => (i === axis ? 1 : 0)),
  )
  return take(
    values,
    dims,
    place.map((index, i) => (indices[which[i]!] === index ? 1 : 0)),
  )
}

export const gathering: Folds = {
  Gather,
  GatherElements: (context) => take(context.input(0), context.input(1).dims, elementPositions(context)),
  GatherND,
  ScatterElements: (context) => scatter(context, context.input(1).dims, elementPositions(context)),
  ScatterND,
  OneHot,
}
