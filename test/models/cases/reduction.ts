// Gradient cases: reductions, running sums, positions of extremes.
import fc from 'fast-check'
import { TYPE } from '../../../models/graph.ts'
import { type Attributes, batched, type Case, given, literal, still, whole } from './case.ts'

/** Opsets from which the axes are an input: before, they are an attribute. */
const AXES_AS_INPUT: Record<string, 13 | 18> = {
  ReduceSum: 13,
  ReduceMean: 18,
  ReduceMax: 18,
  ReduceMin: 18,
  ReduceProd: 18,
  ReduceL1: 18,
  ReduceL2: 18,
  ReduceLogSum: 18,
  ReduceLogSumExp: 18,
  ReduceSumSquare: 18,
}
const NAMES = Object.keys(AXES_AS_INPUT)
/** A logarithm takes positive numbers. */
const meanOf = (name: string) => (name === 'ReduceLogSum' ? 3 : 0)

function reduced(name: string, dims: number[], axes: number[] | undefined, attributes: Attributes, opset?: number): Case {
  const asAttribute = opset !== undefined && opset < AXES_AS_INPUT[name]!
  const form = axes === undefined ? 'all axes' : `axes [${axes}]${asAttribute ? ' as an attribute' : ''}`
  return still(
    `${name} of [${dims}] over ${form} ${JSON.stringify(attributes)}`,
    ({ b, weight }) => {
      const x = weight('w', dims, meanOf(name))
      if (axes === undefined) return b.op(name, [x], attributes)
      return asAttribute ? b.op(name, [x], { ...attributes, ...whole({ axes }) }) : b.op(name, [x, b.ints(axes)], attributes)
    },
    opset,
  )
}

/** An index may only scale: its own gradient is zero everywhere. */
const scaling = (name: string, attributes: Attributes): Case =>
  batched(`${name} ${JSON.stringify(attributes)}, which only scales`, [3, 4], ({ b }, x) => {
    const index = b.op('Cast', [b.op(name, [x], attributes)], whole({ to: TYPE.float32 }))
    return b.op('Mul', [b.op('ReduceSum', [x, b.ints([2])]), index])
  })

export const REDUCTIONS: Case[] = [
  ...NAMES.flatMap((name) => [
    reduced(name, [2, 3, 2], [1], whole({ keepdims: 0 })),
    reduced(name, [2, 3, 2], [-1, 0], whole({ keepdims: 1 })),
    reduced(name, [2, 3], undefined, {}),
    reduced(name, [2, 3], undefined, whole({ keepdims: 0 })),
    reduced(name, [2, 3, 2], [2, 1], whole({ keepdims: 0 }), 13),
  ]),
  ...['ReduceSum', 'ReduceMean', 'ReduceMax'].map((name) => reduced(name, [2, 3], undefined, whole({ noop_with_empty_axes: 1 }))),
  ...['ReduceSum', 'ReduceMean'].flatMap((name) => [
    batched(`${name} of the last axis`, [3, 4], ({ b }, x) => b.op(name, [x, b.ints([-1])], whole({ keepdims: 0 }))),
    batched(`${name} that keeps its axes`, [3, 4], ({ b }, x) => b.op(name, [x, b.ints([2])])),
  ]),
  batched('a mean over the batch that is taken away', [4], ({ b }, x) => b.op('Sub', [x, b.op('ReduceMean', [x, b.ints([0])])])),
  ...[
    [0, 2, 3],
    [0, 2, 0],
    [0, 0, 0],
  ].map((values) => still(`ReduceProd of ${values}`, (parts) => parts.b.op('ReduceProd', [given(parts, values)]))),
  batched('ReduceLogSumExp far from zero', [3, 4], (parts, x) =>
    parts.b.op('ReduceLogSumExp', [parts.b.op('Mul', [x, literal(parts, 100)]), parts.b.ints([2])]),
  ),
  ...['ArgMax', 'ArgMin'].flatMap((name) => [
    scaling(name, whole({ axis: 2 })),
    scaling(name, whole({ axis: -1, keepdims: 1 })),
    batched(`${name} over axis 1 without keepdims, which only scales`, [3, 4], ({ b }, x) => {
      const index = b.op('Cast', [b.op(name, [x], whole({ axis: 1, keepdims: 0 }))], whole({ to: TYPE.float32 }))
      return b.op('Mul', [b.op('ReduceSum', [x, b.ints([1])], whole({ keepdims: 0 })), index])
    }),
  ]),
  ...[0, 1].flatMap((largest) => [
    batched(`TopK, largest ${largest}`, [3, 5], ({ b }, x) => b.ops('TopK', [x, b.ints([2])], 2, whole({ largest }))[0]!),
    batched(`TopK along axis 1, largest ${largest}, with its indices`, [4, 2], ({ b }, x) => {
      const [values, indices] = b.ops('TopK', [x, b.ints([3])], 2, whole({ axis: 1, largest })) as [string, string]
      return b.op('Mul', [values, b.op('Cast', [indices], whole({ to: TYPE.float32 }))])
    }),
  ]),
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].map((reverse) =>
      batched(`CumSum exclusive ${exclusive} reverse ${reverse}`, [3, 4], ({ b }, x) =>
        b.op('CumSum', [x, b.ints([reverse ? -1 : 1], [])], whole({ exclusive, reverse })),
      ),
    ),
  ),
]

export const anyReduction: fc.Arbitrary<Case> = fc
  .record({
    name: fc.constantFrom(...NAMES),
    dims: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
    chosen: fc.nat(15),
    negative: fc.boolean(),
    keepdims: fc.constantFrom(undefined, 0, 1),
    opset: fc.constantFrom(13, 17, 18, 21),
  })
  .map(({ name, dims, chosen, negative, keepdims, opset }) => {
    const axes = [...dims.keys()].filter((axis) => (chosen >> axis) & 1).map((axis) => (negative ? axis - dims.length : axis))
    return reduced(name, dims, axes.length === 0 ? undefined : axes, keepdims === undefined ? {} : whole({ keepdims }), opset)
  })
