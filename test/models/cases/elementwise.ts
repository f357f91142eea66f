// Gradient cases: arithmetic, activations, comparisons.
import fc from 'fast-check'
import { TYPE } from '../../../models/graph.ts'
import { createPrng } from '../../../protocol/prng.ts'
import type { Parts } from '../helpers.ts'
import { type Attributes, batched, type Case, floating, given, literal, still, whole } from './case.ts'

/** A constant of random truths. */
export function truths({ b }: Parts, dims: number[]): string {
  const prng = createPrng(`truths ${dims}`)
  const data = Uint8Array.from({ length: dims.reduce((product, dim) => product * dim, 1) }, () => prng.int(2))
  return b.tensor({ type: TYPE.bool, dims, data })
}

/** Operators on one input, with a mean of what they take where they do not take everything. */
const UNARY: [op: string, mean?: number][] = [
  ['Identity'],
  ['Neg'],
  ['Abs'],
  ['Exp'],
  ['Log', 3],
  ['Sqrt', 3],
  ['Reciprocal', 3],
  ['Erf'],
  ['Sin'],
  ['Cos'],
  ['Tan'],
  ['Atan'],
  ['Sinh'],
  ['Cosh'],
  ['Asinh'],
  ['Acosh', 3],
  ['Relu'],
  ['Sigmoid'],
  ['Tanh'],
  ['Softplus'],
  ['Softsign'],
  ['HardSwish'],
  ['HardSigmoid'],
  ['Mish'],
  ['Gelu'],
  ['LeakyRelu'],
  ['Elu'],
  ['Selu'],
  ['Celu'],
  ['ThresholdedRelu'],
]

const unary = UNARY.map(([name, mean]) =>
  mean === undefined
    ? batched(name, [12], ({ b }, x) => b.op(name, [x]))
    : still(name, ({ b, weight }) => b.op(name, [weight('w', [3, 4], mean)])),
)

/** Those that take numbers from -1 to 1 only. */
const bounded = ['Asin', 'Acos', 'Atanh'].map((name) =>
  batched(name, [8], (parts, x) => parts.b.op(name, [parts.b.op('Mul', [parts.b.op('Tanh', [x]), literal(parts, 0.9)])])),
)

const PARAMETRIC: [op: string, attributes: Attributes][] = [
  ['LeakyRelu', floating({ alpha: 0.3 })],
  ['Elu', floating({ alpha: 0.7 })],
  ['Selu', floating({ alpha: 1.2, gamma: 0.8 })],
  ['Celu', floating({ alpha: 0.5 })],
  ['ThresholdedRelu', floating({ alpha: 0.4 })],
  ['HardSigmoid', floating({ alpha: 0.4, beta: 0.3 })],
  ['Gelu', whole({ approximate: 'tanh' })],
]

const parametric = PARAMETRIC.map(([name, attributes]) =>
  batched(`${name} with ${JSON.stringify(attributes)}`, [12], ({ b }, x) => b.op(name, [x], attributes)),
)

/** A far value shows what overflows: the exponential of 100 is past float32. */
const far = ['Softplus', 'Mish', 'Sigmoid', 'Tanh', 'Elu', 'Selu', 'Celu', 'Gelu', 'HardSwish', 'Erf'].map((name) =>
  batched(`${name} far from zero`, [6], (parts, x) => parts.b.op(name, [parts.b.op('Mul', [x, literal(parts, 100)])])),
)

const binary = ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Sum', 'Mean'].flatMap((name) => [
  batched(`${name} of equal shapes`, [2, 3], ({ b, weight }, x) => b.op(name, [x, weight('w', [1, 2, 3], name === 'Div' ? 3 : 0)])),
  batched(`${name} broadcast on the right`, [2, 3], ({ b, weight }, x) => b.op(name, [x, weight('w', [3], name === 'Div' ? 3 : 0)])),
  batched(`${name} broadcast on the left`, [2, 3], (parts, x) =>
    parts.b.op(name, [parts.weight('w', [2, 1]), parts.b.op('Add', [x, literal(parts, name === 'Div' ? 9 : 0)])]),
  ),
  still(`${name} of two that both broadcast`, ({ b, weight }) =>
    b.op(name, [weight('v', [3, 1, 2]), weight('w', [4, 1], name === 'Div' ? 3 : 0)]),
  ),
])

const variadic = ['Max', 'Min', 'Sum', 'Mean'].flatMap((name) => [
  batched(`${name} of one`, [4], ({ b }, x) => b.op(name, [x])),
  batched(`${name} of three that broadcast`, [2, 3], ({ b, weight }, x) => b.op(name, [weight('v', [2, 1]), x, weight('w', [3])])),
])

const powers = [
  ...[2, 3, 0.5, -1, 1, 1.7, -0.5].map((exponent) =>
    still(`Pow by ${exponent}`, (parts) => parts.b.op('Pow', [parts.weight('w', [2, 3], 3), literal(parts, exponent)])),
  ),
  ...[2, 3].map((exponent) =>
    batched(`Pow of negative numbers by ${exponent}`, [6], (parts, x) => parts.b.op('Pow', [x, literal(parts, exponent)])),
  ),
  ...[1, 2, 3].map((exponent) =>
    still(`Pow of zero by ${exponent}`, (parts) => parts.b.op('Pow', [given(parts, [0, 0, 2]), literal(parts, exponent)])),
  ),
  batched('Pow by an integer exponent', [6], ({ b }, x) => b.op('Pow', [x, b.ints([2], [])])),
  still('Pow by weights', ({ b, weight }) => b.op('Pow', [weight('w', [2, 3], 3), weight('v', [3], 1)])),
  still('Pow of a number by weights', (parts) => parts.b.op('Pow', [literal(parts, 2.5), parts.weight('v', [3])])),
]

const COMPARISONS = ['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual']
const choices = [
  ...COMPARISONS.map((name) =>
    batched(`Where by ${name}`, [2, 3], ({ b, weight }, x) => {
      const limit = weight('limit', [3])
      return b.op('Where', [b.op(name, [x, limit]), b.op('Mul', [x, limit]), weight('w', [2, 1])])
    }),
  ),
  ...['And', 'Or', 'Xor'].map((name) =>
    batched(`Where by ${name} and Not`, [2, 3], (parts, x) => {
      const { b } = parts
      const condition = b.op(name, [b.op('Not', [b.op('Greater', [x, literal(parts, 0)])]), truths(parts, [3])])
      return b.op('Where', [condition, x, parts.weight('w', [2, 3])])
    }),
  ),
  batched('Where with a condition that broadcasts the most', [1, 3], (parts, x) =>
    parts.b.op('Where', [truths(parts, [2, 1]), x, literal(parts, -2)]),
  ),
  batched('a mask of Where that fills with minus infinity before Softmax', [3, 3], (parts, x) => {
    const { b } = parts
    const mask = b.tensor({ type: TYPE.bool, dims: [3, 3], data: Uint8Array.of(1, 0, 0, 1, 1, 0, 1, 1, 1) })
    return b.op('Softmax', [b.op('Where', [mask, x, literal(parts, Number.NEGATIVE_INFINITY)])])
  }),
  batched('a mask of Cast', [6], (parts, x) => {
    const { b } = parts
    const mask = b.op('Cast', [b.op('Less', [x, literal(parts, 0.2)])], whole({ to: TYPE.float32 }))
    return b.op('Mul', [x, mask])
  }),
  batched('a mask of CastLike', [6], (parts, x) => {
    const { b } = parts
    return b.op('Mul', [x, b.op('CastLike', [b.op('Greater', [x, literal(parts, 0)]), x])])
  }),
  batched('Where by IsNaN of a root', [6], ({ b }, x) => b.op('Where', [b.op('IsNaN', [b.op('Sqrt', [x])]), x, b.op('Exp', [x])])),
  ...[{}, whole({ detect_negative: 0 })].map((attributes) =>
    batched(`Where by IsInf of a logarithm ${JSON.stringify(attributes)}`, [6], (parts, x) => {
      const { b } = parts
      const logarithm = b.op('Log', [b.op('Relu', [x])])
      return b.op('Where', [b.op('IsInf', [logarithm], attributes), x, b.op('Exp', [x])])
    }),
  ),
  batched('Cast to float32', [6], ({ b }, x) => b.op('Cast', [x], whole({ to: TYPE.float32 }))),
  ...['Sign', 'Floor', 'Ceil', 'Round'].map((name) =>
    batched(`${name}, which only scales`, [6], (parts, x) =>
      parts.b.op('Mul', [x, parts.b.op(name, [parts.b.op('Mul', [x, literal(parts, 2)])])]),
    ),
  ),
  batched('Cast to integers, which only scale', [6], (parts, x) => {
    const { b } = parts
    const integers = b.op('Cast', [b.op('Mul', [x, literal(parts, 3)])], whole({ to: TYPE.int64 }))
    const odd = b.op('Mod', [integers, b.ints([2], [])])
    return b.op('Mul', [x, b.op('Cast', [odd], whole({ to: TYPE.float32 }))])
  }),
]

const clips = [
  ...(
    [
      [-0.5, 0.7],
      [undefined, 0.3],
      [-0.2, undefined],
      [undefined, undefined],
      [0, 6],
    ] as const
  ).map(([low, high]) =>
    batched(`Clip from ${low} to ${high}`, [12], (parts, x) => {
      const bound = (value: number | undefined) => (value === undefined ? '' : literal(parts, value))
      return parts.b.op('Clip', high === undefined ? (low === undefined ? [x] : [x, bound(low)]) : [x, bound(low), bound(high)])
    }),
  ),
]

export const ELEMENTWISE: Case[] = [
  ...unary,
  ...bounded,
  ...parametric,
  ...far,
  ...binary,
  ...variadic,
  ...powers,
  ...choices,
  ...clips,
  batched('PRelu with a slope for each channel', [3, 2, 2], ({ b, weight }, x) => b.op('PRelu', [x, weight('slope', [3, 1, 1])])),
  batched('PRelu with one slope', [5], ({ b, weight }, x) => b.op('PRelu', [x, weight('slope', [1])])),
  batched('PRelu with a slope for each number', [5], ({ b, weight }, x) => b.op('PRelu', [x, weight('slope', [1, 5])])),
  batched('Mod of the input by weights', [2, 3], (parts, x) =>
    parts.b.op('Mod', [parts.b.op('Mul', [x, literal(parts, 10)]), parts.weight('w', [3], 3)], whole({ fmod: 1 })),
  ),
  batched('Mod by negative weights', [6], (parts, x) =>
    parts.b.op('Mod', [parts.b.op('Mul', [x, literal(parts, 10)]), parts.weight('w', [1, 6], -3)], whole({ fmod: 1 })),
  ),
  batched('a value used twice', [4], ({ b }, x) => b.op('Mul', [x, b.op('Sigmoid', [x])])),
  batched('a value times itself', [4], ({ b }, x) => b.op('Mul', [x, x])),
  batched('Dropout of nothing', [4], (parts, x) => parts.b.op('Dropout', [x, literal(parts, 0)])),
]

/** Two shapes that broadcast, from one by leaving out leading axes and setting others to 1. */
const pair = fc
  .record({
    dims: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
    ones: fc.tuple(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 })),
    dropped: fc.tuple(fc.nat(2), fc.nat(2)),
  })
  .map(({ dims, ones, dropped }) =>
    ones.map((flags, i) => dims.map((dim, axis) => (flags[axis] ? 1 : dim)).slice(Math.min(dropped[i]!, dims.length - 1))),
  )

export const anyBroadcast: fc.Arbitrary<Case> = fc
  .record({ op: fc.constantFrom('Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Sum', 'Mean', 'Where', 'PRelu'), shapes: pair })
  .map(({ op, shapes: [left, right] }) => {
    const mean = op === 'Pow' || op === 'Div' ? 3 : 0
    return still(`${op} of [${left}] and [${right}]`, (parts) => {
      const { b, weight } = parts
      const [v, w] = [weight('v', left!, mean), weight('w', right!, mean)]
      if (op === 'Where') return b.op('Where', [truths(parts, [2, 1, 1, 1, 1]), v, w])
      // Its slope must broadcast to the other.
      return op === 'PRelu' ? b.op('PRelu', [b.op('Add', [v, w]), w]) : b.op(op, [v, w])
    })
  })

/** Whole hundredths: a float32 attribute is the same number for both sides either way, but reads better. */
const hundredths = (min: number, max: number) => fc.integer({ min: 100 * min, max: 100 * max }).map((value) => value / 100)

export const anyActivation: fc.Arbitrary<Case> = fc
  .record({
    op: fc.constantFrom('LeakyRelu', 'Elu', 'Selu', 'Celu', 'ThresholdedRelu', 'HardSigmoid'),
    alpha: hundredths(0.1, 2),
    second: fc.option(hundredths(0.1, 2), { nil: undefined }),
    width: fc.integer({ min: 1, max: 20 }),
  })
  .map(({ op, alpha, second, width }) => {
    const attributes = floating({
      alpha,
      ...(second !== undefined && op === 'Selu' && { gamma: second }),
      ...(second !== undefined && op === 'HardSigmoid' && { beta: second }),
    })
    return batched(`${op} of ${width} with ${JSON.stringify(attributes)}`, [width], ({ b }, x) => b.op(op, [x], attributes))
  })
