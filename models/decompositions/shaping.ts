// Operators that only change the shape of what they are given, most of them Reshape; and others in their newest form.
import { sizeOf } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { describeNode, intAttribute, intsAttribute, intsOf, intTensor, invalid, type Node } from '../graph.ts'
import { axesOf, axisOf, type DecompositionContext, type Decompositions, knownInts, MAX_POSITIONS } from './types.ts'

const reshape = (node: Node, { emit, define }: DecompositionContext, dims: readonly number[]): void => {
  emit('Reshape', [node.inputs[0]!, define(intTensor(dims))], {}, node.outputs)
}

export const shaping: Decompositions = {
  Identity(node, { alias }) {
    alias(node.outputs[0]!, node.inputs[0]!)
  },
  Flatten(node, context) {
    const dims = context.shapes[0]!
    const axis = intAttribute(node, 'axis', 1)
    const front = dims.slice(0, axis < 0 ? axis + dims.length : axis)
    reshape(node, context, [sizeOf(front), sizeOf(dims) / sizeOf(front)])
  },
  Squeeze(node, context) {
    const dims = context.shapes[0]!
    const axes = axesOf(context, dims.length)
    const gone = (dim: number, axis: number) => (axes === undefined ? dim === 1 : axes.includes(axis))
    reshape(
      node,
      context,
      dims.filter((dim, axis) => !gone(dim, axis)),
    )
  },
  Unsqueeze(node, context) {
    const from = context.shapes[0]!
    const count = node.inputs[1] ? knownInts(context, 1, 'axes').length : (intsAttribute(node, 'axes') ?? []).length
    if (count > LIMITS.tensorRank) throw invalid(`${describeNode(node)} adds ${count} axes; at most ${LIMITS.tensorRank} are supported.`)
    const rank = from.length + count
    const axes = axesOf(context, rank) ?? []
    const rest = [...from]
    reshape(
      node,
      context,
      Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : (rest.shift() ?? 1))),
    )
  },
  /** Into sizes that are an input: they may be equal parts, the last one smaller. */
  Split(node, { emit, define, shapes }) {
    if (node.inputs[1]) return false
    const axis = axisOf(node, intAttribute(node, 'axis', 0), shapes[0]!.length)
    const count = node.outputs.length
    const whole = shapes[0]![axis]!
    const size = Math.ceil(whole / count)
    const sizes = Array.from({ length: count }, (_, i) => Math.min(size, whole - i * size))
    return emit('Split', [node.inputs[0]!, define(intTensor(sizes))], { axis: { int: axis } }, node.outputs)
  },
  /** One position is a slice, whose gradient is cheaper. */
  Gather(node, { emit, define, constant, shapes }) {
    const indices = constant(1)
    if (indices === undefined || sizeOf(indices.dims) !== 1) return false
    const [dims = []] = shapes
    const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length)
    const at = axisOf(node, intsOf(indices)[0]!, dims[axis]!)
    const slice = emit('Slice', [node.inputs[0]!, ...[at, at + 1, axis].map((value) => define(intTensor([value])))])
    return emit('Reshape', [slice, define(intTensor([...dims.slice(0, axis), ...indices.dims, ...dims.slice(axis + 1)]))], {}, node.outputs)
  },
  /** Batch axes become the first numbers of each index. */
  GatherND(node, { emit, define, shapes }) {
    const count = intAttribute(node, 'batch_dims', 0)
    if (count === 0) return false
    const [dims = [], indices = []] = shapes
    const batch = dims.slice(0, count)
    const places = indices.slice(0, -1)
    if (count < 0 || count > places.length || sizeOf(places) > MAX_POSITIONS || batch.join() !== places.slice(0, count).join()) {
      throw invalid(`${describeNode(node)} has indices of shape [${indices.join(', ')}] for [${dims.join(', ')}], which do not fit.`)
    }
    const each = sizeOf(places.slice(count))
    const positions = Array.from({ length: sizeOf(places) }, (_, i) =>
      batch.map((dim, axis) => Math.floor(i / each / sizeOf(batch.slice(axis + 1))) % dim),
    )
    const full = emit('Concat', [define(intTensor(positions.flat(), [...places, count])), node.inputs[1]!], { axis: { int: -1 } })
    return emit('GatherND', [node.inputs[0]!, full], {}, node.outputs)
  },
}
