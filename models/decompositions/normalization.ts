// Normalisations: a private operator that normalises (../operators/normalization.ts), then scale and bias as Mul and Add.
import { sizeOf } from '../../protocol/layout.ts'
import { describeNode, floatAttribute, floatTensor, intAttribute, intsAttribute, intTensor, invalid, type Node } from '../graph.ts'
import type { Shape } from '../operators/index.ts'
import { axisOf, type Decomposition, type DecompositionContext, type Decompositions } from './types.ts'

const DEFAULT_EPSILON = 1e-5

const reshape = ({ emit, define }: DecompositionContext, value: string, dims: Shape): string =>
  emit('Reshape', [value, define(intTensor(dims))])

/** One number a channel, [C], to the shape that broadcasts over axis 1 of `rank`. */
const perChannel = (context: DecompositionContext, value: string, rank: number): string =>
  reshape(context, value, [-1, ...Array(rank - 2).fill(1)])

/** value * scale + bias, as the node's result; a missing one is left out. */
function affine(
  { emit, alias }: DecompositionContext,
  node: Node,
  value: string,
  scale: string | undefined,
  bias: string | undefined,
): void {
  const [output = ''] = node.outputs
  if (scale !== undefined) value = emit('Mul', [value, scale], {}, bias === undefined ? [output] : undefined)
  if (bias !== undefined) emit('Add', [value, bias], {}, [output])
  if (scale === undefined && bias === undefined) alias(output, value)
}

const onlyFirstOutput = (node: Node): void => {
  if (node.outputs.slice(1).some((name) => name !== ''))
    throw invalid(`${describeNode(node)} has several outputs; only the first can be used here.`)
}

const epsilonOf = (node: Node) => ({ epsilon: { float: floatAttribute(node, 'epsilon', DEFAULT_EPSILON) } })

/**
 * Frozen: an affine map by the running statistics. In training, where the model was exported for it: by the batch's own, and the
 * running ones move as PyTorch's do, towards the variance of the sample (n - 1), not of the batch (n) as the ONNX text has it.
 */
const BatchNormalization: Decomposition = (node, context) => {
  const { shapes, emit, define, training, unused, update } = context
  const [x = '', scale = '', bias = '', mean = '', variance = ''] = node.inputs
  const dims = shapes[0]!
  if (dims.length < 2 || shapes.slice(1, 5).some((shape) => shape.length !== 1 || shape[0] !== dims[1])) {
    throw invalid(
      `${describeNode(node)} has statistics of shape [${shapes[3]?.join(', ')}] for an input of [${dims.join(', ')}], which do not fit.`,
    )
  }
  const channel = (value: string) => perChannel(context, value, dims.length)
  if (!training || !usesBatchStatistics(node)) {
    const deviation = emit('Sqrt', [emit('Add', [variance, define(floatTensor([epsilonOf(node).epsilon.float], []))])])
    const factor = emit('Div', [scale, deviation])
    affine(context, node, x, channel(factor), channel(emit('Sub', [bias, emit('Mul', [mean, factor])])))
    return
  }
  const [normal, batchMean, batchVariance] = [unused(), unused(), unused()]
  emit('own.NormalizeBatch', [x], epsilonOf(node), [normal, batchMean, batchVariance, unused()])
  affine(context, node, normal, channel(scale), channel(bias))
  const momentum = floatAttribute(node, 'momentum', 0.9)
  const count = sizeOf(dims) / dims[1]!
  const follow = (old: string, now: string, factor: number): string =>
    emit('Add', [
      emit('Mul', [old, define(floatTensor([momentum], []))]),
      emit('Mul', [reshape(context, now, [-1]), define(floatTensor([factor], []))]),
    ])
  update(3, follow(mean, batchMean, 1 - momentum))
  update(4, follow(variance, batchVariance, ((1 - momentum) * count) / Math.max(1, count - 1)))
}

/** Operator set 13 says training by its five outputs, 14 and later by an attribute. */
const usesBatchStatistics = (node: Node): boolean => node.outputs.length > 1 || intAttribute(node, 'training_mode', 0) === 1

const LayerNormalization: Decomposition = (node, context) => {
  onlyFirstOutput(node)
  const [x = '', scale, bias] = node.inputs
  const axis = axisOf(node, intAttribute(node, 'axis', -1), context.shapes[0]!.length)
  const normal = context.emit('own.Normalize', [x], { axis: { int: axis }, ...epsilonOf(node) })
  affine(context, node, normal, scale, bias || undefined)
}

/** Groups of channels, each normalised with all its places. @param dims of x, [N, C, ...] */
function normalizeGroups(node: Node, context: DecompositionContext, groups: number): string {
  const dims = context.shapes[0]!
  if (dims.length < 3 || groups < 1 || dims[1]! % groups !== 0) {
    throw invalid(`${describeNode(node)} makes ${groups} groups of an input of shape [${dims.join(', ')}], which cannot be done evenly.`)
  }
  const flat = reshape(context, node.inputs[0]!, [dims[0]!, groups, -1])
  return context.emit('own.Normalize', [flat], { axis: { int: 2 }, ...epsilonOf(node) })
}

/** Operator set 18 has a scale for each group, 21 for each channel. */
const GroupNormalization: Decomposition = (node, context) => {
  const { shapes } = context
  const dims = shapes[0]!
  const groups = intAttribute(node, 'num_groups', 0)
  const normal = normalizeGroups(node, context, groups)
  const [, scale = '', bias = ''] = node.inputs
  const isPerGroup = shapes[1]![0] === groups && groups !== dims[1]
  if (isPerGroup) {
    const flat = context.unused()
    affine(context, { ...node, outputs: [flat] }, normal, perChannel(context, scale, 3), perChannel(context, bias, 3))
    context.emit('Reshape', [flat, context.define(intTensor(dims))], {}, node.outputs)
    return
  }
  const value = reshape(context, normal, dims)
  affine(context, node, value, perChannel(context, scale, dims.length), perChannel(context, bias, dims.length))
}

const InstanceNormalization: Decomposition = (node, context) => {
  const dims = context.shapes[0]!
  const value = reshape(context, normalizeGroups(node, context, dims[1]!), dims)
  const [, scale = '', bias = ''] = node.inputs
  affine(context, node, value, perChannel(context, scale, dims.length), perChannel(context, bias, dims.length))
}

/** x / |x| along one axis, for the norms of order 1 and 2. */
const LpNormalization: Decomposition = (node, { emit, define, shapes }) => {
  const axis = axisOf(node, intAttribute(node, 'axis', -1), shapes[0]!.length)
  const op = intAttribute(node, 'p', 2) === 1 ? 'ReduceL1' : 'ReduceL2'
  emit('Div', [node.inputs[0]!, emit(op, [node.inputs[0]!, define(intTensor([axis]))], { keepdims: { int: 1 } })], {}, node.outputs)
}

/** (x - mean) / sqrt(variance + 1e-9), by default over batch and places. */
const MeanVarianceNormalization: Decomposition = (node, { emit, define, shapes }) => {
  const x = node.inputs[0]!
  const axes = define(intTensor((intsAttribute(node, 'axes') ?? [0, 2, 3]).map((axis) => axisOf(node, axis, shapes[0]!.length))))
  const mean = (value: string) => emit('ReduceMean', [value, axes], { keepdims: { int: 1 } })
  const centred = emit('Sub', [x, mean(x)])
  const deviation = emit('Sqrt', [emit('Add', [mean(emit('Mul', [centred, centred])), define(floatTensor([1e-9], []))])])
  emit('Div', [centred, deviation], {}, node.outputs)
}

/** Channels over which LRN's band goes: a matrix of their square. Networks that have one have some hundred. */
const LRN_CHANNELS = 2048

/** x / (bias + alpha/size sum of squares over neighbouring channels)^beta (Krizhevsky et al. 2012), the sum as a product with a band of ones. */
const LRN: Decomposition = (node, context) => {
  const { emit, define, shapes } = context
  const dims = shapes[0]!
  const x = node.inputs[0]!
  const size = intAttribute(node, 'size', 1)
  const channels = dims[1] ?? 1
  if (channels > LRN_CHANNELS) throw invalid(`${describeNode(node)} has ${channels} channels; at most ${LRN_CHANNELS} are supported.`)
  const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)]
  const scale = floatAttribute(node, 'alpha', 1e-4) / size
  const band = Array.from({ length: channels * channels }, (_, i) => {
    const distance = (i % channels) - Math.floor(i / channels)
    return distance >= -before && distance <= after ? scale : 0
  })
  const squares = reshape(context, emit('Mul', [x, x]), [dims[0]!, channels, -1])
  const sums = reshape(context, emit('MatMul', [define(floatTensor(band, [channels, channels])), squares]), dims)
  const base = emit('Add', [sums, define(floatTensor([floatAttribute(node, 'bias', 1)], []))])
  emit('Div', [x, emit('Pow', [base, define(floatTensor([floatAttribute(node, 'beta', 0.75)], []))])], {}, node.outputs)
}

export const normalization: Decompositions = {
  BatchNormalization,
  GroupNormalization,
  InstanceNormalization,
  LayerNormalization,
  LpNormalization,
  LRN,
  MeanVarianceNormalization,
}
