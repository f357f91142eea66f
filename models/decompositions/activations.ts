// Activation functions in terms of primitive ones. Slopes at a kink are PyTorch's.
import { describeNode, floatAttribute, floatTensor, invalid, stringAttribute } from '../graph.ts'
import type { DecompositionContext, Decompositions } from './types.ts'

/** Klambauer et al. 2017, arXiv:1706.02515. */
const SELU_ALPHA = 1.6732632
const SELU_GAMMA = 1.050701

const scalar = ({ define }: DecompositionContext, value: number): string => define(floatTensor([value], []))

export const activations: Decompositions = {
  PRelu(node, context) {
    const { emit, shapes } = context
    const [x = '', slope = ''] = node.inputs
    const [dims = [], slopes = []] = shapes
    if (slopes.length > dims.length || slopes.some((size, i) => size !== 1 && size !== dims[i - slopes.length + dims.length])) {
      throw invalid(`${describeNode(node)} has slopes of shape [${slopes.join(', ')}] for [${dims.join(', ')}], which do not fit.`)
    }
    emit('Where', [emit('Greater', [x, scalar(context, 0)]), x, emit('Mul', [x, slope])], {}, node.outputs)
  },
  /** gamma elu(x) */
  Selu(node, context) {
    const { emit } = context
    const elu = emit('Elu', node.inputs, { alpha: { float: floatAttribute(node, 'alpha', SELU_ALPHA) } })
    emit('Mul', [elu, scalar(context, floatAttribute(node, 'gamma', SELU_GAMMA))], {}, node.outputs)
  },
  /** alpha elu(x / alpha) */
  Celu(node, context) {
    const { emit } = context
    const alpha = scalar(context, floatAttribute(node, 'alpha', 1))
    emit('Mul', [emit('Elu', [emit('Div', [node.inputs[0]!, alpha])]), alpha], {}, node.outputs)
  },
  ThresholdedRelu(node, context) {
    const { emit } = context
    const [x = ''] = node.inputs
    const isAbove = emit('Greater', [x, scalar(context, floatAttribute(node, 'alpha', 1))])
    emit('Where', [isAbove, x, scalar(context, 0)], {}, node.outputs)
  },
  /** x hardsigmoid(x), its ramp from -3 to 3 */
  HardSwish(node, { emit }) {
    const [x = ''] = node.inputs
    emit('Mul', [x, emit('HardSigmoid', [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } })], {}, node.outputs)
  },
  /** x tanh(log(1 + exp(x))) */
  Mish(node, { emit }) {
    const [x = ''] = node.inputs
    emit('Mul', [x, emit('Tanh', [emit('Softplus', [x])])], {}, node.outputs)
  },
  /** x times the share of the normal distribution below x; or nearly so, x (1 + tanh(t)) / 2 = sigmoid(2 t), t = sqrt(2 / pi) (x + 0.044715 x^3). */
  Gelu(node, context) {
    const { emit } = context
    const [x = ''] = node.inputs
    const times = (value: string, factor: number) => emit('Mul', [value, scalar(context, factor)])
    const plus = (value: string, term: number) => emit('Add', [value, scalar(context, term)])
    if (stringAttribute(node, 'approximate', 'none') === 'tanh') {
      const scale = 2 * Math.sqrt(2 / Math.PI)
      const slope = plus(times(emit('Mul', [x, x]), 0.044715 * scale), scale)
      emit('Mul', [x, emit('Sigmoid', [emit('Mul', [x, slope])])], {}, node.outputs)
      return
    }
    emit('Mul', [x, emit('own.NormalShare', [x])], {}, node.outputs)
  },
}
