// Gradient cases: shapes, joining and splitting, constants made from shapes.
import fc from 'fast-check'
import { floatTensor, TYPE } from '../../../models/graph.ts'
import { batched, type Case, still, whole } from './case.ts'

const shapes = [
  batched('Reshape, Transpose, Squeeze, Unsqueeze', [2, 6], ({ b, weight }, x) => {
    const turned = b.op('Transpose', [b.op('Reshape', [x, b.ints([0, 3, -1])])], whole({ perm: [0, 2, 1] }))
    const wide = b.op('Unsqueeze', [turned, b.ints([1])])
    return b.op('Mul', [b.op('Squeeze', [wide, b.ints([1])]), weight('w', [4, 3])])
  }),
  batched('Reshape to a shape that is computed', [2, 3], ({ b }, x) => {
    const batch = b.op('Gather', [b.op('Shape', [x]), b.ints([0], [])])
    const shape = b.op('Concat', [b.op('Unsqueeze', [batch, b.ints([0])]), b.ints([-1])], whole({ axis: 0 }))
    return b.op('Softmax', [b.op('Reshape', [x, shape])])
  }),
  still('Reshape with allowzero', ({ b, weight }) => b.op('Reshape', [weight('w', [2, 3]), b.ints([3, -1])], whole({ allowzero: 1 }))),
  ...[0, 1, 2, -1].map((axis) =>
    still(`Flatten at axis ${axis}`, ({ b, weight }) => b.op('Transpose', [b.op('Flatten', [weight('w', [2, 3, 2])], whole({ axis }))])),
  ),
  still('Squeeze of all axes of one', ({ b, weight }) => b.op('Transpose', [b.op('Squeeze', [weight('w', [1, 2, 1, 3])])])),
  still('Squeeze of a negative axis', ({ b, weight }) =>
    b.op('Transpose', [b.op('Squeeze', [weight('w', [1, 2, 3, 1]), b.ints([-1, 0])])]),
  ),
  still('Unsqueeze of negative axes', ({ b, weight }) => b.op('Transpose', [b.op('Unsqueeze', [weight('w', [2, 3]), b.ints([-1, 1])])])),
  still('Transpose without perm', ({ b, weight }) => b.op('Transpose', [weight('w', [2, 3, 4])])),
  still('Expand', ({ b, weight }) => b.op('Expand', [weight('w', [3, 1]), b.ints([2, 3, 4])])),
  still('Expand to less than there is', ({ b, weight }) => b.op('Expand', [weight('w', [2, 3]), b.ints([1, 1])])),
  still('Tile', ({ b, weight }) => b.op('Tile', [weight('w', [2, 3]), b.ints([2, 3])])),
  batched('Expand of a token over the batch', [2, 3], ({ b, weight }, x) => {
    const batch = b.op('Shape', [x], whole({ start: 0, end: 1 }))
    const shape = b.op('Concat', [batch, b.ints([1, 3])], whole({ axis: 0 }))
    return b.op('Concat', [b.op('Expand', [weight('token', [1, 1, 3]), shape]), x], whole({ axis: 1 }))
  }),
  batched('a row of ones from the shape', [2, 3], ({ b, weight }, x) => {
    const ones = b.op('ConstantOfShape', [b.op('Shape', [x])], { value: { tensor: floatTensor([1], [1]) } })
    return b.op('Add', [x, b.op('Mul', [ones, weight('w', [3])])])
  }),
  batched('a division by Size', [2, 3], (parts, x) => {
    const { b } = parts
    const size = b.op('Cast', [b.op('Size', [parts.weight('w', [2, 3])])], whole({ to: TYPE.float32 }))
    return b.op('Div', [b.op('Mul', [x, 'w']), size])
  }),
]

const joins = [
  ...[1, -1].map((axis) =>
    batched(`Concat along axis ${axis}`, [2, 3], ({ b, weight }, x) => {
      const grown = b.op('Add', [x, weight('w', [2, 3])])
      return b.op('Concat', [x, grown, x], whole({ axis }))
    }),
  ),
  still('Concat of unequal parts', ({ b, weight }) =>
    b.op('Concat', [weight('u', [2, 1]), weight('v', [2, 3]), weight('w', [2, 2])], whole({ axis: 1 })),
  ),
  still('Concat of one', ({ b, weight }) => b.op('Concat', [weight('u', [2, 1])], whole({ axis: 0 }))),
  batched('Split in equal parts', [2, 6], ({ b }, x) => {
    const [u, v] = b.ops('Split', [x], 2, whole({ axis: 2, num_outputs: 2 })) as [string, string]
    return b.op('Mul', [u, b.op('Sigmoid', [v])])
  }),
  batched(
    'Split in equal parts before num_outputs',
    [2, 6],
    ({ b }, x) => {
      const [u, v] = b.ops('Split', [x], 2, whole({ axis: -1 })) as [string, string]
      return b.op('Mul', [u, b.op('Sigmoid', [v])])
    },
    13,
  ),
  batched('Split in given sizes, one unused', [2, 6], ({ b }, x) => {
    const [u, , v] = b.ops('Split', [x, b.ints([2, 3, 1])], 3, whole({ axis: 2 })) as [string, string, string]
    return b.op('Mul', [u, v])
  }),
  batched('Split with a smaller last part', [5], ({ b }, x) => {
    const [u, v, w] = b.ops('Split', [x], 3, whole({ axis: 1, num_outputs: 3 })) as [string, string, string]
    return b.op('Mul', [b.op('Add', [u, v]), w])
  }),
]

const triangles = [0, 1].flatMap((upper) =>
  [undefined, -1, 1].map((k) =>
    still(`Trilu upper ${upper}, diagonal ${k}`, ({ b, weight }) =>
      b.op('Trilu', [weight('w', [2, 3, 4]), ...(k === undefined ? [] : [b.ints([k], [])])], whole({ upper })),
    ),
  ),
)

const made: Case[] = [
  still('Range that scales', ({ b, weight }) => {
    const range = b.op('Range', [b.ints([1], []), b.ints([7], []), b.ints([2], [])])
    return b.op('Mul', [weight('w', [2, 3]), b.op('Cast', [range], whole({ to: TYPE.float32 }))])
  }),
  ...[-1, 0].map((axis) =>
    still(`OneHot at axis ${axis} that picks rows`, ({ b, weight }) => {
      const values = b.op('Constant', [], { value_floats: { floats: [0, 1] } })
      const hot = b.op('OneHot', [b.ints([0, 2, -1]), b.ints([4], []), values], whole({ axis }))
      return axis === -1 ? b.op('MatMul', [hot, weight('w', [4, 2])]) : b.op('MatMul', [weight('w', [2, 4]), hot])
    }),
  ),
  still('a causal mask of ones', ({ b, weight }) => {
    const ones = b.op('ConstantOfShape', [b.ints([3, 3])], { value: { tensor: floatTensor([1], [1]) } })
    const mask = b.op('Trilu', [ones], whole({ upper: 0 }))
    const filled = b.op('Where', [
      b.op('Cast', [mask], whole({ to: TYPE.bool })),
      weight('w', [2, 3, 3]),
      b.op('Constant', [], { value_float: { float: -1e9 } }),
    ])
    return b.op('Softmax', [filled])
  }),
]

export const SHAPING: Case[] = [...shapes, ...joins, ...triangles, ...made]

const dims = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })

/** A Split into parts of any sizes, of which some are joined again in another order. */
export const anySplit: fc.Arbitrary<Case> = fc
  .record({
    lead: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    sizes: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
    trail: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    back: fc.boolean(),
  })
  .chain(({ lead, sizes, trail, back }) =>
    fc.shuffledSubarray([...sizes.keys()], { minLength: 1 }).map((used) => {
      const dims = [...lead, sizes.reduce((total, size) => total + size), ...trail]
      const axis = back ? -1 - trail.length : lead.length
      return still(`Split of [${dims}] along axis ${axis} into [${sizes}], of which [${used}] are joined`, ({ b, weight }) => {
        const parts = b.ops('Split', [weight('w', dims), b.ints(sizes)], sizes.length, whole({ axis }))
        return b.op(
          'Concat',
          used.map((i) => parts[i]!),
          whole({ axis }),
        )
      })
    }),
  )

export const anyMove: fc.Arbitrary<Case> = dims.chain((dims) =>
  fc.oneof(
    fc
      .shuffledSubarray([...dims.keys()], { minLength: dims.length })
      .map((perm) =>
        still(`Transpose of [${dims}] by [${perm}]`, ({ b, weight }) => b.op('Transpose', [weight('w', dims)], whole({ perm }))),
      ),
    fc
      .array(fc.integer({ min: 1, max: 3 }), { minLength: dims.length, maxLength: dims.length })
      .map((repeats) => still(`Tile of [${dims}] by [${repeats}]`, ({ b, weight }) => b.op('Tile', [weight('w', dims), b.ints(repeats)]))),
    fc
      .record({ ones: fc.nat(15), lead: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 2 }), plain: fc.nat(15) })
      .map(({ ones, lead, plain }) => {
        const from = dims.map((dim, axis) => ((ones >> axis) & 1 ? 1 : dim))
        // A one in the wanted shape leaves the axis as it is.
        const to = [...lead, ...dims.map((dim, axis) => ((plain >> axis) & 1 ? 1 : dim))]
        return still(`Expand of [${from}] to [${to}]`, ({ b, weight }) => b.op('Expand', [weight('w', from), b.ints(to)]))
      }),
  ),
)
