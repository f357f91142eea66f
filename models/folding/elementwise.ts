// Folds of operators that work value by value, with NumPy's broadcasting.
import { describeNode, floatTensor, intAttribute, invalid, isTensorType, type Node, type Tensor, type TensorType, TYPE } from '../graph.ts'
import { broadcast } from '../operators/broadcast.ts'
import {
  type Fold,
  type Folds,
  fits,
  isFloat,
  isInteger,
  malformed,
  put,
  spread,
  take,
  tensorOf,
  toInteger,
  type Value,
  valuesOf,
} from './values.ts'

export interface Arithmetic {
  float?: (a: number, b: number) => number
  int?: (a: bigint, b: bigint) => bigint
}

const floorMod = (a: bigint, b: bigint): bigint => ((a % b) + b) % b

export const ARITHMETIC = {
  Add: { float: (a, b) => a + b, int: (a, b) => a + b },
  Sub: { float: (a, b) => a - b, int: (a, b) => a - b },
  // As narrow as the types are, so that a product of many does not grow without end.
  Mul: { float: (a, b) => a * b, int: (a, b) => BigInt.asIntN(64, a * b) },
  Div: { float: (a, b) => a / b, int: (a, b) => a / b },
  Min: { float: Math.min, int: (a, b) => (a < b ? a : b) },
  Max: { float: Math.max, int: (a, b) => (a > b ? a : b) },
} as const satisfies Record<string, Arithmetic>

/** The rule for values of one type. @throws model-invalid if there is none */
export function ruleOf(node: Node, { float, int }: Arithmetic, type: TensorType): (a: Value, b: Value) => Value {
  const rule = isFloat(type) ? float : isInteger(type) ? int : undefined
  if (rule === undefined) throw malformed(node, `computes with values of type ${type}, for which it is not defined`)
  return rule as (a: Value, b: Value) => Value
}

/** `compute` on two tensors; undefined where it is for one pair of values. */
function pairwise(
  node: Node,
  a: Tensor,
  b: Tensor,
  type: TensorType,
  compute: (a: Value, b: Value) => Value | undefined,
): Tensor | undefined {
  const dims = broadcast(node, a.dims, b.dims)
  if (!fits(dims)) return undefined
  const [left, right] = [valuesOf(a), valuesOf(b)]
  const [i, j] = [spread(a.dims, dims), spread(b.dims, dims)]
  let open = false
  const result = tensorOf(type, dims, (p) => {
    const value = compute(left[i[p]!]!, right[j[p]!]!)
    open ||= value === undefined
    return value ?? 0
  })
  return open ? undefined : result
}

function sameType(node: Node, ...tensors: readonly Tensor[]): TensorType {
  const { type } = tensors[0]!
  if (tensors.some((tensor) => tensor.type !== type)) {
    throw malformed(node, `takes values of types ${tensors.map((tensor) => tensor.type).join(' and ')} together`)
  }
  return type
}

function combine(node: Node, rule: Arithmetic, a: Tensor, b: Tensor): Tensor | undefined {
  const type = sameType(node, a, b)
  return pairwise(node, a, b, type, ruleOf(node, rule, type))
}

const binary =
  (rule: Arithmetic): Fold =>
  ({ node, input }) =>
    combine(node, rule, input(0), input(1))

const inputsOf = ({ node, input }: Parameters<Fold>[0]): [Tensor, ...Tensor[]] => [
  input(0),
  ...node.inputs.slice(1).map((_, i) => input(i + 1)),
]

/** Inputs of one Min, Max, Sum or Mean: each is one more pass over the result. Exported models have two or three. */
const VARIADIC_INPUTS = 16

/** One input or many, each rounded into the next as in onnxruntime. */
const variadic =
  (rule: Arithmetic): Fold =>
  (context) => {
    if (context.node.inputs.length > VARIADIC_INPUTS) return undefined
    const [first, ...others] = inputsOf(context)
    ruleOf(context.node, rule, first.type)
    return others.reduce<Tensor | undefined>((sum, next) => sum && combine(context.node, rule, sum, next), first)
  }

const sum = variadic({ float: ARITHMETIC.Add.float })

const comparison =
  (compute: (a: Value, b: Value) => boolean, ofBools = false): Fold =>
  ({ node, input }) => {
    if (sameType(node, input(0), input(1)) === TYPE.bool && !ofBools) throw malformed(node, 'compares bools')
    return pairwise(node, input(0), input(1), TYPE.bool, (a, b) => (compute(a, b) ? 1 : 0))
  }

const logic =
  (compute: (a: boolean, b: boolean) => boolean): Fold =>
  ({ node, input }) => {
    if (sameType(node, input(0), input(1)) !== TYPE.bool) throw malformed(node, 'takes values that are not bools')
    return pairwise(node, input(0), input(1), TYPE.bool, (a, b) => (compute(a === 1n, b === 1n) ? 1 : 0))
  }

const unary =
  (float: (x: number) => number, int?: (x: bigint) => bigint): Fold =>
  ({ node, input }) => {
    const x = input(0)
    const rule = ruleOf(node, { float, ...(int !== undefined && { int }) }, x.type)
    const values = valuesOf(x)
    return tensorOf(x.type, x.dims, (i) => rule(values[i]!, values[i]!))
  }

/** To the nearest whole number, from halfway to the even one. */
function roundToEven(x: number): number {
  return Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)
}

function cast(x: Tensor, type: TensorType): Tensor | undefined {
  const values = valuesOf(x)
  let open = false
  const result = tensorOf(type, x.dims, (i) => {
    const value = values[i]!
    // `!= 0` would be true of no bigint zero, false of NaN: both as in C++.
    if (type === TYPE.bool) return value === 0 || value === 0n ? 0 : 1
    if (typeof value === 'bigint' || isFloat(type)) return value
    const whole = toInteger(type, value)
    open ||= whole === undefined
    return whole ?? 0
  })
  return open ? undefined : result
}

/** The first input's type, whatever the exponent's. */
const Pow: Fold = ({ node, input }) => {
  const [x, y] = [input(0), input(1)]
  if (x.type === TYPE.bool || y.type === TYPE.bool) throw malformed(node, 'takes bools')
  const power = (a: Value, b: Value) => Number(a) ** Number(b)
  return pairwise(node, x, y, x.type, isFloat(x.type) ? power : (a, b) => toInteger(x.type, power(a, b)))
}

/** onnxruntime refuses the same when it runs. */
const withoutZero =
  (fold: Fold): Fold =>
  (context) => {
    const divisor = context.input(1)
    if (isInteger(divisor.type) && Array.from(valuesOf(divisor)).includes(0n)) throw malformed(context.node, 'divides integers by 0')
    return fold(context)
  }

const Mod: Fold = (context) => {
  const { node } = context
  // C's fmod has the sign of the first value, as JavaScript's % has; the integers' own has that of the second.
  const likeC = intAttribute(node, 'fmod', 0) === 1
  if (!likeC && isFloat(context.input(0).type)) throw malformed(node, 'takes floats without fmod')
  return binary({
    float: (a, b) => a % b,
    int: (a, b) => (likeC ? a % b : floorMod(a, b)),
  })(context)
}

const Clip: Fold = ({ node, input, optional }) => {
  const [low, high] = [optional(1), optional(2)]
  for (const bound of [low, high]) {
    if (bound !== undefined && bound.dims.length > 0) throw malformed(node, `clips to bounds of shape [${bound.dims.join(', ')}]`)
  }
  const raised = low === undefined ? input(0) : combine(node, ARITHMETIC.Max, input(0), low)
  return high === undefined || raised === undefined ? raised : combine(node, ARITHMETIC.Min, raised, high)
}

const Where: Fold = ({ node, input }) => {
  const [condition, x, y] = [input(0), input(1), input(2)]
  if (condition.type !== TYPE.bool) throw malformed(node, 'takes a condition that is not of bools')
  sameType(node, x, y)
  const dims = broadcast(node, broadcast(node, condition.dims, x.dims), y.dims)
  if (!fits(dims)) return undefined
  const [chosen, at, from] = [valuesOf(condition), spread(condition.dims, dims), spread(x.dims, dims)]
  const result = take(y, dims, spread(y.dims, dims))
  const places = Int32Array.from(at.keys()).filter((place) => chosen[at[place]!] === 1n)
  const values = take(
    x,
    [places.length],
    places.map((place) => from[place]!),
  )
  put(result, values, places)
  return result
}

export const elementwise: Folds = {
  Add: binary(ARITHMETIC.Add),
  Sub: binary(ARITHMETIC.Sub),
  Mul: binary(ARITHMETIC.Mul),
  Div: withoutZero(binary(ARITHMETIC.Div)),
  Mod: withoutZero(Mod),
  Pow,
  Min: variadic(ARITHMETIC.Min),
  Max: variadic(ARITHMETIC.Max),
  Sum: sum,
  Mean(context) {
    const total = sum(context) as Tensor | undefined
    // onnxruntime multiplies by the reciprocal.
    return total && combine(context.node, ARITHMETIC.Mul, total, cast(floatTensor([1 / context.node.inputs.length], []), total.type)!)
  },
  Clip,
  Where,
  Equal: comparison((a, b) => a === b, true),
  Less: comparison((a, b) => a < b),
  LessOrEqual: comparison((a, b) => a <= b),
  Greater: comparison((a, b) => a > b),
  GreaterOrEqual: comparison((a, b) => a >= b),
  And: logic((a, b) => a && b),
  Or: logic((a, b) => a || b),
  Xor: logic((a, b) => a !== b),
  Not({ node, input }) {
    if (input(0).type !== TYPE.bool) throw malformed(node, 'takes values that are not bools')
    return tensorOf(TYPE.bool, input(0).dims, (i) => (input(0).data![i] ? 0 : 1))
  },
  Neg: unary(
    (x) => -x,
    (x) => -x,
  ),
  Abs: unary(Math.abs, (x) => (x < 0n ? -x : x)),
  Sign: unary(Math.sign, (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n)),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Round: unary(roundToEven),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Cast({ node, input }) {
    const to = intAttribute(node, 'to', 0)
    if (!isTensorType(to)) throw invalid(`${describeNode(node)} makes values of type ${to}, which is not supported; export as float32.`)
    return cast(input(0), to)
  },
  CastLike: ({ input }) => cast(input(0), input(1).type),
}
