// Activation functions. Slopes at a kink are PyTorch's. Further ones: ../decompositions/activations.ts.
import { floatAttribute } from '../graph.ts'
import { bySign, isNonzero, oneMinus, type Point, square, unary } from './elementwise.ts'
import type { EmitContext, Operator, Operators } from './types.ts'

const alpha = ({ b, node }: Point, fallback: number): string => b.scalar(floatAttribute(node, 'alpha', fallback))

/** log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which does not overflow. onnxruntime's kernel takes six times as long. */
const Softplus: Operator = {
  ...unary(({ b, x }) => b.op('Sigmoid', [x])),
  emit({ node, b }: EmitContext) {
    const [x = ''] = node.inputs
    const small = b.op('Exp', [b.op('Neg', [b.op('Abs', [x])])])
    const logarithm = b.op('Log', [b.op('Add', [small, b.scalar(1)])])
    b.add({ ...node, op: 'Add', inputs: [b.op('Max', [x, b.scalar(0)]), logarithm] })
  },
}

/** The share of the normal distribution below x, (1 + erf(x / sqrt 2)) / 2; its slope is the density exp(-x^2 / 2) / sqrt(2 pi). */
const normalShare: Operator = {
  ...unary(({ b, x }) => {
    const density = b.op('Exp', [b.op('Mul', [square(b, x), b.scalar(-0.5)])])
    return b.op('Mul', [density, b.scalar(1 / Math.sqrt(2 * Math.PI))])
  }),
  emit({ node, b }: EmitContext) {
    const erf = b.op('Erf', [b.op('Mul', [node.inputs[0]!, b.scalar(Math.SQRT1_2)])])
    b.add({ ...node, op: 'Add', inputs: [b.op('Mul', [erf, b.scalar(0.5)]), b.scalar(0.5)] })
  },
}

export const activations: Operators = {
  // The result is never negative, so "not zero" is "positive".
  Relu: unary(({ b, y }) => isNonzero(b, y)),
  LeakyRelu: unary((point) => bySign(point.b, point.x, point.b.scalar(1), alpha(point, 0.01))),
  // y = a (exp(x) - 1), so y' = y + a
  Elu: unary((point) => bySign(point.b, point.x, point.b.scalar(1), point.b.op('Add', [point.y, alpha(point, 1)]))),
  // y' = y (1 - y)
  Sigmoid: unary(({ b, y }) => b.op('Mul', [y, b.op('Sub', [b.scalar(1), y])])),
  // The ramp ends where the result is 0 or 1.
  HardSigmoid: unary((point) => {
    const { b, y } = point
    return b.op('Mul', [alpha(point, 0.2), isNonzero(b, b.op('Mul', [y, b.op('Sub', [b.scalar(1), y])]))])
  }),
  Softplus,
  // (x / (1 + |x|))' = 1 / (1 + |x|)^2
  Softsign: unary(({ b, x }) => square(b, b.op('Reciprocal', [b.op('Add', [b.scalar(1), b.op('Abs', [x])])]))),
  // y' = 1 - y^2
  Tanh: unary(({ b, y }) => oneMinus(b, y)),
  'own.NormalShare': normalShare,
}
