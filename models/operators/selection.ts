// Comparisons and what chooses by them. Only what was chosen gets the gradient; of two equal numbers each gets half, as in PyTorch.
import { describeNode, intAttribute, invalid, isTensorType, TYPE } from '../graph.ts'
import { broadcast, unbroadcast } from './broadcast.ts'
import { toFloat } from './elementwise.ts'
import type { GradientContext, Operator, Operators } from './types.ts'

const comparison: Operator = {
  shape: ({ node, shapes }) => broadcast(node, shapes[0]!, shapes[1]!),
  type: () => TYPE.bool,
}

const question: Operator = { shape: ({ shapes }) => shapes[0]!, type: () => TYPE.bool }

/** In steps: the gradient is zero. */
const step: Operator = { shape: ({ shapes }) => shapes[0]! }

const Where: Operator = {
  shape: ({ node, shapes }) => broadcast(node, broadcast(node, shapes[0]!, shapes[1]!), shapes[2]!),
  type: ({ types }) => types[1]!,
  gradient({ node, b, grad, shape, shapes, needs }) {
    const [condition = ''] = node.inputs
    const part = (i: number, chosen: string, other: string) =>
      needs(i) ? unbroadcast(b, b.op('Where', [condition, chosen, other]), shape, shapes[i]!) : undefined
    return [undefined, part(1, grad, b.scalar(0)), part(2, b.scalar(0), grad)]
  },
}

/** @param wins the comparison by which the first of two inputs is chosen */
const extreme = (wins: 'Greater' | 'Less'): Operator => ({
  shape: ({ node, shapes }) => broadcast(node, shapes[0]!, shapes[1]!),
  gradient({ node, b, grad, shape, shapes, needs }) {
    const half = b.op('Equal', node.inputs)
    const share = (i: number, inputs: readonly string[]) => {
      if (!needs(i)) return undefined
      const factor = b.op('Where', [half, b.scalar(0.5), toFloat(b, b.op(wins, inputs))])
      return unbroadcast(b, b.op('Mul', [grad, factor]), shape, shapes[i]!)
    }
    return [share(0, node.inputs), share(1, node.inputs.toReversed())]
  },
})

/** The bounds are constants; see ../decompositions/arithmetic.ts. A number that stays as it is, be it a bound, passes the gradient. */
const Clip: Operator = {
  shape: ({ shapes }) => shapes[0]!,
  gradient: ({ node, b, grad }: GradientContext) => [b.op('Mul', [grad, toFloat(b, b.op('Equal', [node.inputs[0]!, node.outputs[0]!]))])],
}

/** To another type; to its own, see ../decompositions/arithmetic.ts. */
const Cast: Operator = {
  shape: ({ shapes }) => shapes[0]!,
  type({ node }) {
    const to = intAttribute(node, 'to', 0)
    if (!isTensorType(to)) throw invalid(`${describeNode(node)} converts to the ONNX type ${to}, which is not supported here.`)
    return to
  },
}

export const selection: Operators = {
  Equal: comparison,
  Less: comparison,
  LessOrEqual: comparison,
  Greater: comparison,
  GreaterOrEqual: comparison,
  And: comparison,
  Or: comparison,
  Xor: comparison,
  Not: question,
  IsNaN: question,
  IsInf: question,
  Sign: step,
  Floor: step,
  Ceil: step,
  Round: step,
  Where,
  Max: extreme('Greater'),
  Min: extreme('Less'),
  Clip,
  Cast,
}
