// Arithmetic and functions, number by number. Gradients: the chain rule; through broadcasting, a sum over the repeated axes.
// Where a derivative is infinite (the root or the logarithm at 0) it counts as 0: a single such number would make all others NaN.
import type { Builder } from '../builder.ts'
import { describeNode, intsOf, invalid, type Node, TYPE } from '../graph.ts'
import { broadcast, unbroadcast } from './broadcast.ts'
import type { GradientContext, Operator, Operators } from './types.ts'

/** Names of the inputs x and y, the result z and its gradient; `sum` adds up over the axes along which the input in question was repeated. */
interface Sides {
  b: Builder
  grad: string
  x: string
  y: string
  z: string
  sum(value: string): string
  context: GradientContext
}
type Rule = (sides: Sides) => string

/** @param left dL/dx @param right dL/dy */
const binary = (left: Rule, right: Rule): Operator => ({
  shape: ({ node, shapes }) => broadcast(node, shapes[0]!, shapes[1]!),
  gradient(context) {
    const { node, b, grad, shape, shapes } = context
    const [x = '', y = ''] = node.inputs
    const sides = { b, grad, x, y, z: node.outputs[0]!, context }
    return [left, right].map((rule, i) =>
      context.needs(i) ? rule({ ...sides, sum: (value) => unbroadcast(b, value, shape, shapes[i]!) }) : undefined,
    )
  },
})

/**
 * Whole numbers are divided by constants other than 0 and -1 only: onnxruntime leaves them to the processor, and the smallest one by -1
 * ends the process, on the data's word alone.
 */
const byKnown = (operator: Operator): Operator => ({
  ...operator,
  shape(context) {
    const { node, types, constant } = context
    const isSigned = types[0] === TYPE.int64 || types[0] === TYPE.int32
    const by = isSigned ? constant(1) : undefined
    if (isSigned && (by === undefined || intsOf(by).some((value) => value === 0 || value === -1))) {
      throw invalid(`${describeNode(node)} divides whole numbers by others than constants, or by 0 or -1; do so in float32.`)
    }
    return operator.shape!(context)
  },
})

/** Names of the input and the result. */
export interface Point {
  b: Builder
  x: string
  y: string
  node: Node
}

/** @param factor dy/dx */
export const unary = (factor: (point: Point) => string): Operator => ({
  shape: ({ shapes }) => shapes[0]!,
  gradient: ({ b, grad, node }) => [b.op('Mul', [grad, factor({ b, node, x: node.inputs[0]!, y: node.outputs[0]! })])],
})

export const toFloat = (b: Builder, value: string): string => b.op('Cast', [value], { to: { int: TYPE.float32 } })

/** 1 where the value is not zero. Two casts are faster than a comparison. */
export const isNonzero = (b: Builder, value: string): string => toFloat(b, b.op('Cast', [value], { to: { int: TYPE.bool } }))

/** The value as a divisor that gives 0 where it is 0. */
const divisor = (b: Builder, value: string): string => b.op('Where', [b.op('Equal', [value, b.scalar(0)]), b.scalar(Infinity), value])

const inverse = (b: Builder, value: string): string => b.op('Div', [b.scalar(1), divisor(b, value)])

export const square = (b: Builder, value: string): string => b.op('Mul', [value, value])

/** 1 + x^2 */
const onePlus = (b: Builder, x: string): string => b.op('Add', [b.scalar(1), square(b, x)])

/** 1 - x^2 */
export const oneMinus = (b: Builder, x: string): string => b.op('Sub', [b.scalar(1), square(b, x)])

/** `above` where x is positive, else `below`. */
export const bySign = (b: Builder, x: string, above: string, below: string): string =>
  b.op('Where', [b.op('Greater', [x, b.scalar(0)]), above, below])

const arithmetic: Operators = {
  Add: binary(
    ({ grad, sum }) => sum(grad),
    ({ grad, sum }) => sum(grad),
  ),
  Sub: binary(
    ({ grad, sum }) => sum(grad),
    ({ grad, sum, b }) => b.op('Neg', [sum(grad)]),
  ),
  Mul: binary(
    ({ grad, sum, b, y }) => sum(b.op('Mul', [grad, y])),
    ({ grad, sum, b, x }) => sum(b.op('Mul', [grad, x])),
  ),
  // d(x/y)/dy = -(x/y)/y. A quotient by 0 may be masked later on, so that its gradient, 0 times infinity, must be 0.
  Div: byKnown(
    binary(
      ({ grad, sum, b, y, context }) => sum(b.op('Div', [grad, context.constant(1) === undefined ? divisor(b, y) : y])),
      ({ grad, sum, b, y, z }) => {
        const slope = b.op('Div', [b.op('Neg', [sum(b.op('Mul', [grad, z]))]), y])
        return b.op('Where', [b.op('Equal', [y, b.scalar(0)]), b.scalar(0), slope])
      },
    ),
  ),
  // dx = y x^(y-1), dy = x^y log x; the latter is 0 for x <= 0, where there is none. 0^(y-1) is infinite for y < 1: see above.
  Pow: binary(
    ({ grad, sum, b, x, y }) => {
      const isInfinite = b.op('And', [b.op('Equal', [x, b.scalar(0)]), b.op('Less', [y, b.scalar(1)])])
      const power = b.op('Pow', [b.op('Where', [isInfinite, b.scalar(Infinity), x]), b.op('Sub', [y, b.scalar(1)])])
      return sum(b.op('Mul', [grad, b.op('Mul', [y, power])]))
    },
    ({ grad, sum, b, x, z }) => {
      const slope = b.op('Mul', [grad, b.op('Mul', [z, b.op('Log', [bySign(b, x, x, b.scalar(1))])])])
      return sum(bySign(b, x, slope, b.scalar(0)))
    },
  ),
  // x = y k + z with a whole number k
  Mod: byKnown(
    binary(
      ({ grad, sum }) => sum(grad),
      ({ grad, sum, b, x, y, z }) => {
        const k = b.op('Round', [b.op('Div', [b.op('Sub', [x, z]), y])])
        return b.op('Neg', [sum(b.op('Mul', [grad, k]))])
      },
    ),
  ),
  Neg: unary(({ b }) => b.scalar(-1)),
  Abs: unary(({ b, x }) => b.op('Sign', [x])),
  Reciprocal: unary(({ b, x }) => b.op('Neg', [inverse(b, square(b, x))])),
}

const functions: Operators = {
  Exp: unary(({ y }) => y),
  Log: unary(({ b, x }) => inverse(b, x)),
  Sqrt: unary(({ b, y }) => b.op('Div', [b.scalar(0.5), divisor(b, y)])),
  Erf: unary(({ b, x }) => b.op('Mul', [b.scalar(2 / Math.sqrt(Math.PI)), b.op('Exp', [b.op('Neg', [square(b, x)])])])),
  Sin: unary(({ b, x }) => b.op('Cos', [x])),
  Cos: unary(({ b, x }) => b.op('Neg', [b.op('Sin', [x])])),
  Tan: unary(({ b, y }) => onePlus(b, y)),
  Asin: unary(({ b, x }) => inverse(b, b.op('Sqrt', [oneMinus(b, x)]))),
  Acos: unary(({ b, x }) => b.op('Neg', [inverse(b, b.op('Sqrt', [oneMinus(b, x)]))])),
  Atan: unary(({ b, x }) => b.op('Reciprocal', [onePlus(b, x)])),
  Sinh: unary(({ b, x }) => b.op('Cosh', [x])),
  Cosh: unary(({ b, x }) => b.op('Sinh', [x])),
  Asinh: unary(({ b, x }) => b.op('Reciprocal', [b.op('Sqrt', [onePlus(b, x)])])),
  Acosh: unary(({ b, x }) => inverse(b, b.op('Sqrt', [b.op('Sub', [square(b, x), b.scalar(1)])]))),
  Atanh: unary(({ b, x }) => inverse(b, oneMinus(b, x))),
}

export const elementwise: Operators = { ...arithmetic, ...functions }
