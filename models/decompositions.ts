// Operators that others express: a table of rewrites, so that they need no gradient of their own.
import { sizeOf } from '../protocol/layout.ts'
import {
  type Attribute,
  describeNode,
  floatTensor,
  intAttribute,
  intsAttribute,
  intsOf,
  intTensor,
  invalid,
  type Node,
  type Tensor,
} from './graph.ts'
import type { Shape } from './operators/index.ts'

export interface DecompositionContext {
  /** Shapes of the node's inputs, and the values of those that are known. */
  readonly shapes: readonly Shape[]
  constant(input: number): Tensor | undefined
  /** Appends a node; the last one must yield the decomposed node's outputs. Returns its first output. */
  emit(op: string, inputs: readonly string[], attributes: Record<string, Attribute>, outputs?: readonly string[]): string
  /** Names a constant; `output` names it as the node's result. */
  define(tensor: Tensor, output?: string): string
  /** Makes `output` another name for `value`. */
  alias(output: string, value: string): void
}

type Decomposition = (node: Node, context: DecompositionContext) => void

const reshape = (node: Node, { emit, define }: DecompositionContext, dims: readonly number[]): void => {
  emit('Reshape', [node.inputs[0]!, define(intTensor(dims))], {}, node.outputs)
}

/** Axes as an attribute (before operator set 13 or 18) or as an input (since), counted from the front of `rank`. */
function axesOf(node: Node, { constant }: DecompositionContext, rank: number): number[] | undefined {
  const given = node.inputs[1] ? constant(1) : undefined
  if (node.inputs[1] && given === undefined) throw invalid(`${describeNode(node)} takes axes that are only known when the model runs.`)
  return (given === undefined ? intsAttribute(node, 'axes') : intsOf(given))?.map((axis) => (axis < 0 ? axis + rank : axis))
}

/** Reductions with their axes as an input, as operator set 18 has them. */
const reduction: Decomposition = (node, context) => {
  const axes = intsAttribute(node, 'axes') ?? []
  const { axes: _, ...attributes } = node.attributes
  context.emit(node.op, [node.inputs[0]!, context.define(intTensor(axes))], attributes, node.outputs)
}

export const DECOMPOSITIONS: Readonly<Record<string, Decomposition>> = {
  Constant(node, { define }) {
    const { value, value_float, value_floats, value_int, value_ints } = node.attributes
    const tensor = (() => {
      if (value !== undefined && 'tensor' in value) return value.tensor
      if (value_float !== undefined && 'float' in value_float) return floatTensor([value_float.float], [])
      if (value_floats !== undefined && 'floats' in value_floats) return floatTensor(value_floats.floats, [value_floats.floats.length])
      if (value_int !== undefined && 'int' in value_int) return intTensor([value_int.int], [])
      if (value_ints !== undefined && 'ints' in value_ints) return intTensor(value_ints.ints)
      throw invalid(`${describeNode(node)} has no value of a supported kind.`)
    })()
    define(tensor, node.outputs[0]!)
  },
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
    const axes = axesOf(node, context, dims.length)
    const gone = (dim: number, axis: number) => (axes === undefined ? dim === 1 : axes.includes(axis))
    reshape(
      node,
      context,
      dims.filter((dim, axis) => !gone(dim, axis)),
    )
  },
  Unsqueeze(node, context) {
    const from = context.shapes[0]!
    const rank = from.length + (axesOf(node, context, 0)?.length ?? 0)
    const axes = axesOf(node, context, rank) ?? []
    const rest = [...from]
    reshape(
      node,
      context,
      Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : (rest.shift() ?? 1))),
    )
  },
  GlobalAveragePool(node, { emit, define, shapes }) {
    const axes = [...shapes[0]!.keys()].slice(2)
    emit('ReduceMean', [node.inputs[0]!, define(intTensor(axes))], { keepdims: { int: 1 } }, node.outputs)
  },
  GlobalMaxPool(node, { emit, shapes }) {
    emit('MaxPool', node.inputs, { kernel_shape: { ints: shapes[0]!.slice(2) }, strides: { ints: shapes[0]!.slice(2) } }, node.outputs)
  },
  ReduceMean: reduction,
  ReduceSum: reduction,
}

/** True where the table's rewrite applies to this node; the others are primitive as they are. */
export function decompositionOf(node: Node): Decomposition | undefined {
  if (!Object.hasOwn(DECOMPOSITIONS, node.op)) return undefined
  const isReduction = node.op === 'ReduceMean' || node.op === 'ReduceSum'
  return isReduction && node.inputs.length > 1 ? undefined : DECOMPOSITIONS[node.op]
}
