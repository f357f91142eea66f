// Operators that work number by number. Gradients: the chain rule; through broadcasting, a sum over the repeated axes.
import { broadcast, unbroadcast } from './broadcast.ts'
import type { GradientContext, Operator, Operators } from './types.ts'

type Rule = (context: GradientContext, a: string, b: string) => string

const binary = (left: Rule, right: Rule): Operator => ({
  shape: ({ node, shapes }) => broadcast(node, shapes[0]!, shapes[1]!),
  gradient(context) {
    const { node, b, shape, shapes } = context
    return [left, right].map((rule, i) =>
      context.needs(i) ? unbroadcast(b, rule(context, node.inputs[0]!, node.inputs[1]!), shape, shapes[i]!) : undefined,
    )
  },
})

/** `rule` gets the names of the input and of the result. */
const unary = (rule: Rule): Operator => ({
  shape: ({ shapes }) => shapes[0]!,
  gradient: (context) => [rule(context, context.node.inputs[0]!, context.node.outputs[0]!)],
})

export const elementwise: Operators = {
  Add: binary(
    ({ grad }) => grad,
    ({ grad }) => grad,
  ),
  Sub: binary(
    ({ grad }) => grad,
    ({ grad, b }) => b.op('Neg', [grad]),
  ),
  Mul: binary(
    ({ grad, b }, _, y) => b.op('Mul', [grad, y]),
    ({ grad, b }, x) => b.op('Mul', [grad, x]),
  ),
  // d(x/y)/dy = -(x/y)/y
  Div: binary(
    ({ grad, b }, _, y) => b.op('Div', [grad, y]),
    ({ grad, b, node }, _, y) => b.op('Neg', [b.op('Mul', [grad, b.op('Div', [node.outputs[0]!, y])])]),
  ),
  // The result is never negative, so "not zero" is "positive"; two casts are faster than Greater.
  Relu: unary(({ grad, b }, _, y) => b.op('Mul', [grad, toFloat(b, b.op('Cast', [y], { to: { int: 9 } }))])),
  // s' = s (1 - s)
  Sigmoid: unary(({ grad, b }, _, y) => b.op('Mul', [grad, b.op('Mul', [y, b.op('Sub', [b.scalar(1), y])])])),
  // tanh' = 1 - tanh^2
  Tanh: unary(({ grad, b }, _, y) => b.op('Mul', [grad, b.op('Sub', [b.scalar(1), b.op('Mul', [y, y])])])),
}

export const toFloat = (b: GradientContext['b'], value: string): string => b.op('Cast', [value], { to: { int: 1 } })
