// Sums of many, powers by constants, bounds, conversions: in terms of the operators of two numbers.
import { sizeOf } from '../../protocol/layout.ts'
import { describeNode, floatsOf, floatTensor, intAttribute, intsOf, intTensor, invalid, type Tensor, TYPE } from '../graph.ts'
import type { Decomposition, DecompositionContext, Decompositions } from './types.ts'

/** From the left, two at a time. */
const pairwise =
  (op: string): Decomposition =>
  (node, { emit, alias }) => {
    const [first = '', ...rest] = node.inputs
    if (rest.length === 0) return alias(node.outputs[0]!, first)
    // These two are primitive for two.
    if (rest.length === 1 && op === node.op) return false
    rest.reduce((left, right, i) => emit(op, [left, right], {}, i === rest.length - 1 ? node.outputs : undefined), first)
  }

type Power = (context: DecompositionContext, x: string, output: string) => unknown

/** What is cheaper than a general power, forward and backward. */
const POWERS: ReadonlyMap<number, Power> = new Map<number, Power>([
  [-1, ({ emit }, x, output) => emit('Reciprocal', [x], {}, [output])],
  [0.5, ({ emit }, x, output) => emit('Sqrt', [x], {}, [output])],
  [1, ({ alias }, x, output) => alias(output, x)],
  [2, ({ emit }, x, output) => emit('Mul', [x, x], {}, [output])],
  [3, ({ emit }, x, output) => emit('Mul', [emit('Mul', [x, x]), x], {}, [output])],
])

const numbersOf = (tensor: Tensor): ArrayLike<number> => (tensor.type === TYPE.float32 ? floatsOf(tensor) : intsOf(tensor))

const Pow: Decomposition = (node, context) => {
  const { types, shapes, emit, constant } = context
  if (types[0] !== TYPE.float32) return false
  const [x = '', y = ''] = node.inputs
  const exponent = constant(1)
  const isScalar = exponent !== undefined && sizeOf(exponent.dims) === 1 && exponent.dims.length <= shapes[0]!.length
  const power = isScalar ? POWERS.get(numbersOf(exponent)[0]!) : undefined
  if (power !== undefined) return power(context, x, node.outputs[0]!)
  if (types[1] === TYPE.float32) return false
  // So that the gradient can calculate with it.
  return emit('Pow', [x, emit('Cast', [y], { to: { int: TYPE.float32 } })], {}, node.outputs)
}

/** With bounds that are not known, the larger of one and the smaller of the other. */
const Clip: Decomposition = (node, { constant, emit, alias }) => {
  const [x = '', low = '', high = ''] = node.inputs
  if (low === '' && high === '') return alias(node.outputs[0]!, x)
  if ((low === '' || constant(1) !== undefined) && (high === '' || constant(2) !== undefined)) return false
  const raised = low === '' ? x : emit('Max', [x, low], {}, high === '' ? node.outputs : undefined)
  return high === '' ? raised : emit('Min', [raised, high], {}, node.outputs)
}

/** Nothing is computed in float64: a model that converts to it and back stays in float32. */
const convert = (to: number, { node, types, emit, alias }: DecompositionContext): unknown => {
  const target = to === TYPE.float64 && types[0] === TYPE.float32 ? TYPE.float32 : to
  if (target === types[0]) return alias(node.outputs[0]!, node.inputs[0]!)
  if (node.op === 'Cast') return false
  return emit('Cast', [node.inputs[0]!], { to: { int: target } }, node.outputs)
}

export const arithmetic: Decompositions = {
  Sum: pairwise('Add'),
  Max: pairwise('Max'),
  Min: pairwise('Min'),
  Mean(node, { emit, define }) {
    const sum = emit('Sum', node.inputs)
    emit('Div', [sum, define(floatTensor([node.inputs.length], []))], {}, node.outputs)
  },
  Pow,
  Clip,
  Cast: (node, context) => convert(intAttribute(node, 'to', 0), context),
  CastLike: (_, context) => convert(context.types[1]!, context),
  /** Of one-dimensional operands, each with an axis more that goes again. */
  MatMul(node, { emit, define, shapes, shapeOf }) {
    const [a = [], b = []] = shapes
    if (a.length > 1 && b.length > 1) return false
    if (a.length === 0 || b.length === 0) throw invalid(`${describeNode(node)} multiplies a number that has no dimensions.`)
    const reshape = (value: string, dims: readonly number[], outputs?: readonly string[]) =>
      emit('Reshape', [value, define(intTensor(dims))], {}, outputs)
    const [x = '', y = ''] = node.inputs
    const product = emit('MatMul', [a.length === 1 ? reshape(x, [1, ...a]) : x, b.length === 1 ? reshape(y, [...b, 1]) : y])
    const dims = shapeOf(product)
    const last = b.length === 1 ? dims.slice(0, -1) : dims
    return reshape(product, a.length === 1 ? last.toSpliced(b.length === 1 ? -1 : -2, 1) : last, node.outputs)
  },
}
