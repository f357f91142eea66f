// Softmax and LogSoftmax inside a model. At its end the loss takes their place, see ../loss.ts.
import { describeNode, intAttribute, invalid } from '../graph.ts'
import type { GradientContext, Operator, Operators } from './types.ts'

const sum = ({ node, b }: GradientContext, value: string): string =>
  b.op('ReduceSum', [value, b.ints([intAttribute(node, 'axis', -1)])], { keepdims: { int: 1 } })

const shape: Operator['shape'] = ({ node, shapes }) => {
  const rank = shapes[0]!.length
  const axis = intAttribute(node, 'axis', -1)
  if (axis < -rank || axis >= rank) throw invalid(`${describeNode(node)} has axis ${axis} of ${rank}.`)
  return shapes[0]!
}

export const softmax: Operators = {
  // dX = Y (dY - sum(dY Y))
  Softmax: {
    shape,
    gradient(context) {
      const { node, b, grad } = context
      const y = node.outputs[0]!
      return [b.op('Mul', [y, b.op('Sub', [grad, sum(context, b.op('Mul', [grad, y]))])])]
    },
  },
  // dX = dY - exp(Y) sum(dY)
  LogSoftmax: {
    shape,
    gradient(context) {
      const { node, b, grad } = context
      return [b.op('Sub', [grad, b.op('Mul', [b.op('Exp', [node.outputs[0]!]), sum(context, grad)])])]
    },
  },
}
