// Folds of operators that cut, join and pad.
import { sizeOf } from '../../protocol/layout.ts'
import { intAttribute, intsAttribute, stringAttribute } from '../graph.ts'
import {
  axesOf,
  axisOf,
  blank,
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

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high)

/** INT32_MAX and INT64_MAX: for onnxruntime the end of the cut in either direction. */
const TO_THE_END: readonly number[] = [2 ** 31 - 1, 2 ** 63]

const Slice: Fold = (context) => {
  const { node, input, optional } = context
  const x = input(0)
  const [starts, ends] = [integers(context, 1), integers(context, 2)]
  const axes = axesOf(node, optional(3) === undefined ? [...starts.keys()] : integers(context, 3), x.dims.length)
  const steps = optional(4) === undefined ? axes.map(() => 1) : integers(context, 4)
  if ([starts, ends, steps].some((list) => list.length !== axes.length) || steps.includes(0)) {
    throw malformed(node, `cuts from [${starts.join(', ')}] to [${ends.join(', ')}] by [${steps.join(', ')}] along ${axes.length} axes`)
  }
  const dims = [...x.dims]
  const strides = stridesOf(dims)
  let offset = 0
  for (const [i, axis] of axes.entries()) {
    const [dim, step] = [dims[axis]!, steps[i]!]
    // Backwards, a cut may begin at the last element and end before the first.
    const shift = step < 0 ? -1 : 0
    const bound = (index: number, low: number) => clamp(index < 0 ? index + dim : index, low, dim + shift)
    const start = bound(starts[i]!, 0)
    const end = step < 0 && TO_THE_END.includes(ends[i]!) ? -1 : bound(ends[i]!, shift)
    dims[axis] = Math.max(0, Math.ceil((end - start) / step))
    offset += start * strides[axis]!
    strides[axis]! *= step
  }
  return fits(dims) ? take(x, dims, walk(dims, strides, offset)) : undefined
}

/** Lengths along the axis: given as an input or an attribute, else as even as can be with the last one shorter. */
function splitLengths(context: FoldContext, dim: number): number[] {
  const { node, optional } = context
  const given = optional(1) === undefined ? intsAttribute(node, 'split') : integers(context, 1)
  const count = node.outputs.length
  const length = Math.ceil(dim / count)
  const lengths = given ?? node.outputs.map((_, i) => clamp(dim - i * length, 0, length))
  const exact = given !== undefined || node.attributes.num_outputs !== undefined || dim % count === 0
  if (!exact || lengths.length !== count || intAttribute(node, 'num_outputs', count) !== count) {
    throw malformed(node, `splits ${dim} into ${count} results`)
  }
  if (lengths.some((part) => part < 0) || lengths.reduce((sum, part) => sum + part, 0) !== dim) {
    throw malformed(node, `splits ${dim} into [${lengths.join(', ')}]`)
  }
  return [...lengths]
}

const Split: Fold = (context) => {
  const { node, input } = context
  const x = input(0)
  const axis = axisOf(node, intAttribute(node, 'axis', 0), x.dims.length)
  const strides = stridesOf(x.dims)
  let start = 0
  return splitLengths(context, x.dims[axis]!).map((length) => {
    const dims = withDim(x.dims, axis, length)
    const part = take(x, dims, walk(dims, strides, start * strides[axis]!))
    start += length
    return part
  })
}

const Concat: Fold = ({ node, input }) => {
  const parts = node.inputs.map((_, i) => input(i))
  const { type, dims } = input(0)
  const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length)
  for (const part of parts) {
    if (part.type !== type || withDim(part.dims, axis, 0).join() !== withDim(dims, axis, 0).join() || part.dims.length !== dims.length) {
      throw malformed(node, `joins shapes ${parts.map((part) => `[${part.dims.join(', ')}]`).join(' and ')} along axis ${axis}`)
    }
  }
  const lengths = parts.map((part) => part.dims[axis]!)
  const whole = withDim(
    dims,
    axis,
    lengths.reduce((sum, length) => sum + length, 0),
  )
  if (!fits(whole)) return undefined
  const result = blank(type, whole)
  const strides = stridesOf(whole)
  let start = 0
  for (const part of parts) {
    put(result, part, walk(part.dims, strides, start * strides[axis]!))
    start += part.dims[axis]!
  }
  return result
}

const Pad: Fold = (context) => {
  const { node, input, optional } = context
  if (stringAttribute(node, 'mode', 'constant') !== 'constant') return undefined
  const x = input(0)
  const rank = x.dims.length
  const pads = integers(context, 1)
  const axes = axesOf(node, optional(3) === undefined ? [...x.dims.keys()] : integers(context, 3), rank)
  const fill = optional(2)
  if (pads.length !== 2 * axes.length || (fill !== undefined && (fill.type !== x.type || sizeOf(fill.dims) !== 1))) {
    throw malformed(node, `pads shape [${x.dims.join(', ')}] by [${pads.join(', ')}]`)
  }
  const [before, after] = [Array<number>(rank).fill(0), Array<number>(rank).fill(0)]
  for (const [i, axis] of axes.entries()) {
    before[axis] = pads[i]!
    after[axis] = pads[i + axes.length]!
  }
  const dims = x.dims.map((dim, axis) => dim + before[axis]! + after[axis]!)
  if (dims.some((dim) => dim < 0)) throw malformed(node, `cuts shape [${x.dims.join(', ')}] by [${pads.join(', ')}]`)
  if (!fits(dims)) return undefined
  const result = fill === undefined ? blank(x.type, dims) : take(fill, dims, new Int32Array(sizeOf(dims)))
  // A negative pad cuts. What is left of the input lies between these indices of it.
  const from = before.map((pad) => Math.max(0, -pad))
  const left = x.dims.map((dim, axis) => Math.max(0, Math.min(dim, dim + after[axis]!) - from[axis]!))
  const [source, target] = [stridesOf(x.dims), stridesOf(dims)]
  const start = (strides: readonly number[], index: (axis: number) => number) =>
    strides.reduce((sum, stride, axis) => sum + stride * index(axis), 0)
  const kept = take(
    x,
    left,
    walk(
      left,
      source,
      start(source, (axis) => from[axis]!),
    ),
  )
  put(
    result,
    kept,
    walk(
      left,
      target,
      start(target, (axis) => Math.max(0, before[axis]!)),
    ),
  )
  return result
}

const Trilu: Fold = (context) => {
  const { node, input, optional } = context
  const x = input(0)
  const [rows, columns] = x.dims.slice(-2)
  if (rows === undefined || columns === undefined) throw malformed(node, `takes a triangle of shape [${x.dims.join(', ')}]`)
  const k = optional(1) === undefined ? 0 : integer(context, 1)
  const upper = intAttribute(node, 'upper', 1) !== 0
  const all = walk(x.dims, stridesOf(x.dims))
  const kept = all.filter((position) => {
    const diagonal = (position % columns) - (Math.floor(position / columns) % rows)
    return upper ? diagonal >= k : diagonal <= k
  })
  const result = blank(x.type, x.dims)
  put(result, take(x, [kept.length], kept), kept)
  return result
}

export const selecting: Folds = { Slice, Split, Concat, Pad, Trilu }
