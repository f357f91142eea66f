// Reductions in terms of others, and with their axes as operator set 18 has them: an input that names each one.
import { sizeOf } from '../../protocol/layout.ts'
import { intAttribute, intTensor, type Node } from '../graph.ts'
import { axesOf, type Decomposition, type DecompositionContext, type Decompositions } from './types.ts'

/** Emits `op` on `value` over the node's axes, as its result unless `outputs` says otherwise. */
function reduce(
  node: Node,
  context: DecompositionContext,
  op: string,
  value = node.inputs[0]!,
  outputs: readonly string[] = node.outputs,
): string {
  const rank = context.shapes[0]!.length
  const given = axesOf(context, rank) ?? []
  const axes = context.define(intTensor(given.length > 0 ? given : [...Array(rank).keys()]))
  return context.emit(op, [value, axes], { keepdims: { int: intAttribute(node, 'keepdims', 1) } }, outputs)
}

/** Without axes, either all are meant or, by an attribute, none: then nothing changes. */
const reducesNothing = (node: Node, context: DecompositionContext): boolean =>
  intAttribute(node, 'noop_with_empty_axes', 0) === 1 && (axesOf(context, context.shapes[0]!.length) ?? []).length === 0

const unlessNothing =
  (decompose: Decomposition): Decomposition =>
  (node, context) =>
    reducesNothing(node, context) ? context.alias(node.outputs[0]!, node.inputs[0]!) : decompose(node, context)

const primitive = unlessNothing((node, context) => {
  const axes = node.inputs[1] ? context.constant(1) : undefined
  const isWhole = axes !== undefined && (sizeOf(axes.dims) > 0 || context.shapes[0]!.length === 0)
  if (isWhole && node.attributes.noop_with_empty_axes === undefined) return false
  return reduce(node, context, node.op)
})

export const reductions: Decompositions = {
  ReduceSum: primitive,
  ReduceMean: primitive,
  ReduceMax: primitive,
  ReduceMin: primitive,
  ReduceProd: primitive,
  ReduceLogSumExp: primitive,
  ReduceL1: unlessNothing((node, context) => reduce(node, context, 'ReduceSum', context.emit('Abs', [node.inputs[0]!]))),
  ReduceL2: unlessNothing((node, context) => {
    const [x = ''] = node.inputs
    context.emit('Sqrt', [reduce(node, context, 'ReduceSum', context.emit('Mul', [x, x]), [context.unused()])], {}, node.outputs)
  }),
  ReduceSumSquare: unlessNothing((node, context) => {
    const [x = ''] = node.inputs
    reduce(node, context, 'ReduceSum', context.emit('Mul', [x, x]))
  }),
  ReduceLogSum: unlessNothing((node, context) => {
    context.emit('Log', [reduce(node, context, 'ReduceSum', node.inputs[0]!, [context.unused()])], {}, node.outputs)
  }),
  /** The values, so that their gradient goes the way of GatherElements. */
  TopK(node, { emit, unused }) {
    const [values = '', indices = ''] = node.outputs
    const at = emit('own.TopIndices', node.inputs, node.attributes, [indices || unused()])
    if (values !== '') emit('GatherElements', [node.inputs[0]!, at], { axis: { int: intAttribute(node, 'axis', -1) } }, [values])
  },
}
