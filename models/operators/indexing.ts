// Operators that pick numbers by position, and their reverse, which put numbers there. A number picked twice gets both gradients.
import { sizeOf } from '../../protocol/layout.ts'
import type { Builder } from '../builder.ts'
import { describeNode, intAttribute, invalid, type Node, stringAttribute, TYPE } from '../graph.ts'
import { axisOf, knownInts } from './arguments.ts'
import { zeros } from './shaping.ts'
import type { EmitContext, GradientContext, Operator, Operators, Shape, ShapeContext } from './types.ts'

interface Range {
  axis: number
  start: number
  step: number
  count: number
}

/** What a Slice takes of each axis that it names. */
function rangesOf(context: ShapeContext): Range[] {
  const { node, shapes } = context
  const dims = shapes[0]!
  const starts = knownInts(context, 1, 'starts')
  const ends = knownInts(context, 2, 'ends')
  const axes = node.inputs[3] ? knownInts(context, 3, 'axes') : [...starts.keys()]
  const steps = node.inputs[4] ? knownInts(context, 4, 'steps') : starts.map(() => 1)
  const isTwice = new Set(axes.map((axis) => (axis < 0 ? axis + dims.length : axis))).size < axes.length
  if ([ends, axes, steps].some(({ length }) => length !== starts.length) || steps.includes(0) || isTwice) {
    throw invalid(
      `${describeNode(node)} slices axes [${axes.join(', ')}] from [${starts.join(', ')}] to [${ends.join(', ')}] by [${steps.join(', ')}].`,
    )
  }
  return axes.map((asked, i) => {
    const axis = axisOf(node, asked, dims.length)
    const size = dims[axis]!
    const step = steps[i]!
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
    const bound = (at: number, least: number) => Math.max(least, Math.min(high, at < 0 ? at + size : at))
    const start = bound(starts[i]!, step > 0 ? low : 0)
    return { axis, start, step, count: Math.max(0, Math.min(size, Math.ceil((bound(ends[i]!, low) - start) / step))) }
  })
}

const Slice: Operator = {
  shape(context) {
    const counts = new Map(rangesOf(context).map(({ axis, count }) => [axis, count]))
    return context.shapes[0]!.map((dim, axis) => counts.get(axis) ?? dim)
  },
  /** Turned round where the step is negative, zeros between where it is not one, zeros around. */
  gradient(context) {
    const { b, grad, shape, shapes } = context
    if (sizeOf(shape) === 0) return [zeros(b, shapes[0]!)]
    const pads = Array<number>(2 * shape.length).fill(0)
    const dims = [...shape]
    let value = grad
    for (const { axis, start, step, count } of rangesOf(context)) {
      const stride = Math.abs(step)
      if (step < 0 && count > 1) value = b.op('Slice', [value, b.ints([-1]), b.ints([-count - 1]), b.ints([axis]), b.ints([-1])])
      if (stride > 1 && count > 1) {
        const apart = [...dims.slice(0, axis + 1), 1, ...dims.slice(axis + 1)]
        const after = apart.map(() => 0).with(axis + 1, stride - 1)
        dims[axis] = count * stride
        value = b.op('Reshape', [value, b.ints(apart)])
        value = b.op('Pad', [value, b.ints([...apart.map(() => 0), ...after])])
        value = b.op('Reshape', [value, b.ints(dims)])
      }
      pads[axis] = step < 0 ? start + (count - 1) * step : start
      pads[axis + dims.length] = shapes[0]![axis]! - pads[axis]! - dims[axis]!
    }
    return [b.op('Pad', [value, b.ints(pads)])]
  },
}

const count = (b: Builder, length: number): string =>
  b.op(
    'Range',
    [0, length, 1].map((value) => b.ints([value], [])),
  )

/**
 * Zeros of shape `dims` with `values` added to them, cut into slices of `each` numbers.
 * Not by ScatterND: onnxruntime's runs in parallel and loses numbers that meet in one place.
 * @param slices the number of the slice for each of `values`, [n, 1]
 */
function addSlices(b: Builder, dims: Shape, slices: string, each: number, values: string): string {
  const flat = (value: string) => b.op('Reshape', [value, b.ints([-1])])
  const places = flat(b.op('Add', [b.op('Mul', [slices, b.ints([each])]), count(b, each)]))
  const sums = b.op('ScatterElements', [zeros(b, [sizeOf(dims)]), places, flat(values)], { reduction: { string: 'add' } })
  return b.op('Reshape', [sums, b.ints(dims)])
}

/** The same with slices named by the first axes' positions, the last axis of `indices`, of shape `at`. */
function addAt(b: Builder, dims: Shape, indices: string, at: Shape, values: string): string {
  const depth = at.at(-1)!
  // Mod makes negative positions positive.
  const index = b.op('Mod', [b.op('Reshape', [indices, b.ints([-1, depth])]), b.ints(dims.slice(0, depth))])
  const strides = b.ints(Array.from({ length: depth }, (_, axis) => sizeOf(dims.slice(axis + 1, depth))))
  const slices = b.op('ReduceSum', [b.op('Mul', [index, strides]), b.ints([1])])
  return addSlices(b, dims, slices, sizeOf(dims.slice(depth)), values)
}

const Gather: Operator = {
  shape({ node, shapes }) {
    const [dims = [], indices = []] = shapes
    const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length)
    return [...dims.slice(0, axis), ...indices, ...dims.slice(axis + 1)]
  },
  gradient({ node, b, grad, shapes }) {
    const dims = shapes[0]!
    const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length)
    const size = b.ints([dims[axis]!])
    const indices = b.op('Mod', [b.op('Cast', [node.inputs[1]!], { to: { int: TYPE.int64 } }), size])
    const before = b.op('Reshape', [b.op('Mul', [count(b, sizeOf(dims.slice(0, axis))), size]), b.ints([-1, 1])])
    const slices = b.op('Add', [before, b.op('Reshape', [indices, b.ints([1, -1])])])
    return [addSlices(b, dims, b.op('Reshape', [slices, b.ints([-1, 1])]), sizeOf(dims.slice(axis + 1)), grad), undefined]
  },
}

const GatherElements: Operator = {
  shape({ node, shapes }) {
    const [dims = [], indices = []] = shapes
    const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length)
    mustFit(node, dims.length === indices.length && indices.every((dim, i) => i === axis || dim <= dims[i]!), dims, indices)
    return indices
  },
  gradient: ({ node, b, grad, shapes }) => [
    b.op('ScatterElements', [zeros(b, shapes[0]!), node.inputs[1]!, grad], { ...node.attributes, reduction: { string: 'add' } }),
    undefined,
  ],
}

function mustFit(node: Node, fits: boolean, dims: Shape, indices: Shape): void {
  if (!fits) throw invalid(`${describeNode(node)} has indices of shape [${indices.join(', ')}] for [${dims.join(', ')}], which do not fit.`)
}

/** Without batch axes; see ../decompositions/shaping.ts. */
const GatherND: Operator = {
  shape({ node, shapes }) {
    const [dims = [], indices = []] = shapes
    const depth = indices.at(-1) ?? 0
    mustFit(node, depth >= 1 && depth <= dims.length, dims, indices)
    return [...indices.slice(0, -1), ...dims.slice(depth)]
  },
  gradient: ({ node, b, grad, shapes }) => [addAt(b, shapes[0]!, node.inputs[1]!, shapes[1]!, grad), undefined],
}

/** @param gather the operator that reads what this one writes */
const scatter = (gather: 'GatherElements' | 'GatherND'): Operator => ({
  shape({ node, shapes }) {
    const [dims = [], indices = [], updates = []] = shapes
    const expected = gather === 'GatherElements' ? indices : [...indices.slice(0, -1), ...dims.slice(indices.at(-1))]
    mustFit(node, expected.join() === updates.join(), dims, indices)
    const reduction = stringAttribute(node, 'reduction', 'none')
    if (reduction !== 'none' && reduction !== 'add')
      throw invalid(`${describeNode(node)} has the reduction "${reduction}"; only "none" and "add" can be used here.`)
    return dims
  },
  gradient(context: GradientContext) {
    const { node, b, grad, shapes, needs } = context
    const isSum = stringAttribute(node, 'reduction', 'none') === 'add'
    const [, indices = ''] = node.inputs
    const { axis } = node.attributes
    const attributes = axis === undefined ? {} : { axis }
    const rest = () => (isSum ? grad : b.op(node.op, [grad, indices, zeros(b, shapes[2]!)], attributes))
    return [needs(0) ? rest() : undefined, undefined, needs(2) ? b.op(gather, [grad, indices], attributes) : undefined]
  },
})

/** A sum is written as in gradients, for the same reason. */
function emitScatterND({ node, b, shapes }: EmitContext): void {
  const [data = '', indices = '', updates = ''] = node.inputs
  if (stringAttribute(node, 'reduction', 'none') === 'none') b.add(node)
  else b.add({ ...node, op: 'Add', inputs: [data, addAt(b, shapes[0]!, indices, shapes[1]!, updates)], attributes: {} })
}

export const indexing: Operators = {
  Slice,
  Gather,
  GatherElements,
  GatherND,
  ScatterElements: scatter('GatherElements'),
  ScatterND: { ...scatter('GatherND'), emit: emitScatterND },
}
