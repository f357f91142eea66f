// The reference's operators on single numbers: arithmetic, activations, comparisons, logic.
import { TYPE } from '../../../models/graph.ts'
import { at, type Family, float, int, joined, make, map, text, type Value, zip } from './values.ts'

type Unary = (value: number) => number
type Binary = (a: number, b: number) => number

const unary = (f: Unary) => (inputs: readonly Value[]) => map(inputs[0]!, f)
const binary = (f: Binary) => (inputs: readonly Value[]) => zip(inputs[0]!, inputs[1]!, f)
const test = (f: (a: number, b: number) => boolean) => (inputs: readonly Value[]) =>
  zip(inputs[0]!, inputs[1]!, (a, b) => Number(f(a, b)), 'bool')
const variadic = (f: Binary) => (inputs: readonly Value[]) => inputs.reduce((a, b) => zip(a, b, f))

const sigmoid: Unary = (x) => 1 / (1 + Math.exp(-x))
const softplus: Unary = (x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0)
const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high)

/** Beyond it, 1 - erf(x) is less than a float64's last bit. */
const ERF_SATURATES = 6

/** Abramowitz and Stegun 7.1.6: a series of positive terms, so that nothing cancels. */
export function erf(x: number): number {
  if (Math.abs(x) > ERF_SATURATES) return Math.sign(x)
  let term = x
  let total = x
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1)
    total += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total
}

/** Halves go to the even neighbour. */
function round(x: number): number {
  const down = Math.floor(x)
  if (x - down !== 0.5) return Math.round(x)
  return down % 2 === 0 ? down : down + 1
}

/** The remainder with the divisor's sign, as Python's. */
const modulo: Binary = (a, b) => a - b * Math.floor(a / b)

const gelu = (approximate: string): Unary =>
  approximate === 'tanh'
    ? (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
    : (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))

const CASTS: Readonly<Record<Value['kind'], Unary>> = { bool: (x) => Number(x !== 0), float: (x) => x, int: Math.trunc }

function kindOf(type: number): Value['kind'] {
  if (type === TYPE.bool) return 'bool'
  return type === TYPE.float32 || type === TYPE.float64 ? 'float' : 'int'
}

export const elementwise: Family = {
  Identity: ([x]) => x!,
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: ([a, b]) => zip(a!, b!, a!.kind === 'int' ? (x, y) => Math.trunc(x / y) : (x, y) => x / y),
  Pow: binary((a, b) => a ** b),
  Mod: ([a, b], node) => zip(a!, b!, int(node, 'fmod', 0) ? (x, y) => x % y : modulo),
  Min: variadic(Math.min),
  Max: variadic(Math.max),
  Sum: variadic((a, b) => a + b),
  Mean: (inputs) =>
    map(
      inputs.reduce((a, b) => zip(a, b, (x, y) => x + y)),
      (total) => total / inputs.length,
    ),

  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Sign: unary(Math.sign),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Round: unary(round),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Erf: unary(erf),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Tan: unary(Math.tan),
  Asin: unary(Math.asin),
  Acos: unary(Math.acos),
  Atan: unary(Math.atan),
  Sinh: unary(Math.sinh),
  Cosh: unary(Math.cosh),
  Asinh: unary(Math.asinh),
  Acosh: unary(Math.acosh),
  Atanh: unary(Math.atanh),

  Relu: unary((x) => Math.max(0, x)),
  Sigmoid: unary(sigmoid),
  Tanh: unary(Math.tanh),
  Softplus: unary(softplus),
  Softsign: unary((x) => x / (1 + Math.abs(x))),
  HardSwish: unary((x) => x * clamp(x / 6 + 0.5, 0, 1)),
  Mish: unary((x) => x * Math.tanh(softplus(x))),
  Gelu: ([x], node) => map(x!, gelu(text(node, 'approximate', 'none'))),
  LeakyRelu([x], node) {
    const alpha = float(node, 'alpha', 0.01)
    return map(x!, (value) => (value < 0 ? alpha * value : value))
  },
  PRelu: binary((x, slope) => (x < 0 ? slope * x : x)),
  Elu([x], node) {
    const alpha = float(node, 'alpha', 1)
    return map(x!, (value) => (value < 0 ? alpha * Math.expm1(value) : value))
  },
  Selu([x], node) {
    const [alpha, gamma] = [float(node, 'alpha', 1.6732632423543772), float(node, 'gamma', 1.0507009873554805)]
    return map(x!, (value) => gamma * (value > 0 ? value : alpha * Math.expm1(value)))
  },
  Celu([x], node) {
    const alpha = float(node, 'alpha', 1)
    return map(x!, (value) => Math.max(0, value) + Math.min(0, alpha * Math.expm1(value / alpha)))
  },
  ThresholdedRelu([x], node) {
    const alpha = float(node, 'alpha', 1)
    return map(x!, (value) => (value > alpha ? value : 0))
  },
  HardSigmoid([x], node) {
    const [alpha, beta] = [float(node, 'alpha', 0.2), float(node, 'beta', 0.5)]
    return map(x!, (value) => clamp(alpha * value + beta, 0, 1))
  },
  Clip([x, low, high]) {
    const [from, to] = [low?.data[0] ?? Number.NEGATIVE_INFINITY, high?.data[0] ?? Number.POSITIVE_INFINITY]
    return map(x!, (value) => clamp(value, from, to))
  },

  /** As it is while predicting. */
  Dropout: ([x]) => [x!, make(x!.dims, () => 1, 'bool')],

  Cast([x], node) {
    const kind = kindOf(int(node, 'to', TYPE.float32))
    return { ...map(x!, CASTS[kind]), kind }
  },
  CastLike: ([x, like]) => ({ ...map(x!, CASTS[like!.kind]), kind: like!.kind }),
  IsNaN: ([x]) => ({ ...map(x!, (value) => Number(Number.isNaN(value))), kind: 'bool' }),
  IsInf([x], node) {
    const counts = (value: number) => int(node, value > 0 ? 'detect_positive' : 'detect_negative', 1) === 1
    return { ...map(x!, (value) => Number(Math.abs(value) === Number.POSITIVE_INFINITY && counts(value))), kind: 'bool' }
  },
  Equal: test((a, b) => a === b),
  Less: test((a, b) => a < b),
  LessOrEqual: test((a, b) => a <= b),
  Greater: test((a, b) => a > b),
  GreaterOrEqual: test((a, b) => a >= b),
  And: test((a, b) => a !== 0 && b !== 0),
  Or: test((a, b) => a !== 0 || b !== 0),
  Xor: test((a, b) => a !== b),
  Not: unary((x) => 1 - x),
  Where: ([condition, a, b]) =>
    make(joined(condition!.dims, joined(a!.dims, b!.dims)), (index) => (at(condition!, index) ? at(a!, index) : at(b!, index)), a!.kind),
}
