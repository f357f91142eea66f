// Gradient cases: numbers picked, put and padded by position.
import fc from 'fast-check'
import { TYPE } from '../../../models/graph.ts'
import { type Attributes, batched, type Case, literal, still, whole } from './case.ts'

/** To the end, as exporters write it; the nearest number that JavaScript has. */
const END = Number.MAX_SAFE_INTEGER

function sliced(name: string, dims: number[], from: number[], to: number[], axes?: number[], steps?: number[]): Case {
  return still(`Slice ${name}`, ({ b, weight }) =>
    b.op('Slice', [
      weight('w', dims),
      b.ints(from),
      b.ints(to),
      ...(axes || steps ? [axes ? b.ints(axes) : ''] : []),
      ...(steps ? [b.ints(steps)] : []),
    ]),
  )
}

const slices = [
  sliced('of the first axes', [3, 4], [1, 0], [3, 2]),
  sliced('of a chosen axis', [3, 4], [1], [3], [1]),
  sliced('of a negative axis to the end', [3, 4], [-2], [END], [-1]),
  sliced('by steps of two', [3, 5], [0, 1], [END, END], [0, 1], [2, 2]),
  sliced('backwards', [3, 4], [-1], [-END], [1], [-1]),
  sliced('backwards by steps', [2, 7], [5], [0], [1], [-2]),
  sliced('by steps, of the first axes', [4, 5], [0, 4], [4, 1], undefined, [3, -1]),
  batched('Slice of the input', [4, 3], ({ b }, x) => b.op('Slice', [x, b.ints([1]), b.ints([3]), b.ints([1])])),
  batched('Slices that overlap', [6], ({ b }, x) => {
    const part = (from: number, to: number) => b.op('Slice', [x, b.ints([from]), b.ints([to]), b.ints([1])])
    return b.op('Mul', [part(0, 4), part(2, 6)])
  }),
]

const gathers = [
  still('Gather of rows, some twice', ({ b, weight }) => b.op('Gather', [weight('w', [4, 3]), b.ints([1, 3, 1, 0], [2, 2])])),
  still('Gather along axis 1, negative indices', ({ b, weight }) =>
    b.op('Gather', [weight('w', [2, 4, 3]), b.ints([-1, 0, -1])], whole({ axis: 1 })),
  ),
  still('Gather along the last axis', ({ b, weight }) =>
    b.op('Gather', [weight('w', [2, 4]), b.ints([3, 3, 0, 1], [2, 2])], whole({ axis: -1 })),
  ),
  batched('Gather of one position', [4, 3], ({ b }, x) => b.op('Gather', [x, b.ints([2], [])], whole({ axis: 1 }))),
  batched('Gather of the last position', [4, 3], ({ b }, x) => b.op('Gather', [x, b.ints([-1], [])], whole({ axis: 1 }))),
  batched('an embedding of what the input rounds to', [3], (parts, x) => {
    const { b } = parts
    const bounded = b.op('Clip', [b.op('Floor', [b.op('Mul', [x, literal(parts, 2)])]), literal(parts, -4), literal(parts, 3)])
    return b.op('Gather', [parts.weight('table', [4, 2]), b.op('Cast', [bounded], whole({ to: TYPE.int64 }))])
  }),
  still('GatherElements', ({ b, weight }) => b.op('GatherElements', [weight('w', [3, 3]), b.ints([0, 2, -1, 1, 0, 0], [2, 3])])),
  still('GatherElements along axis 1', ({ b, weight }) =>
    b.op('GatherElements', [weight('w', [3, 3]), b.ints([0, 2, -1, 1, 0, 0], [3, 2])], whole({ axis: 1 })),
  ),
  batched('GatherElements at the positions of ArgMax', [3, 4], ({ b }, x) =>
    b.op('GatherElements', [x, b.op('ArgMax', [x], whole({ axis: 2 }))], whole({ axis: 2 })),
  ),
  still('Gather with indices of 32 bits', ({ b, weight }) => {
    const indices = b.tensor({ type: TYPE.int32, dims: [3], data: new Uint8Array(Int32Array.of(2, 0, -1).buffer) })
    return b.op('Gather', [weight('w', [3, 2]), indices])
  }),
  batched('Concat of slices that cross the sample', [6], ({ b }, x) => {
    const part = (from: number, to: number) => b.op('Slice', [x, b.ints([from]), b.ints([to]), b.ints([1])])
    // Rotary embeddings turn halves like this.
    return b.op('Concat', [b.op('Neg', [part(3, END)]), part(0, 3)], whole({ axis: -1 }))
  }),
  still('GatherND of numbers', ({ b, weight }) => b.op('GatherND', [weight('w', [3, 4]), b.ints([0, 1, 2, -1, 0, 1], [3, 2])])),
  still('GatherND of rows', ({ b, weight }) => b.op('GatherND', [weight('w', [3, 2, 2]), b.ints([2, 0, -1, 2], [2, 2, 1])])),
  still('GatherND after a batch axis', ({ b, weight }) =>
    b.op('GatherND', [weight('w', [2, 3, 2]), b.ints([1, 2], [2, 1])], whole({ batch_dims: 1 })),
  ),
]

const scatters = [
  ...['none', 'add'].flatMap((reduction) => [
    still(`ScatterElements, reduction ${reduction}`, ({ b, weight }) =>
      b.op('ScatterElements', [weight('w', [3, 3]), b.ints([0, 2, 1, 0], [2, 2]), weight('u', [2, 2])], whole({ axis: 1, reduction })),
    ),
    still(`ScatterND, reduction ${reduction}`, ({ b, weight }) =>
      b.op('ScatterND', [weight('w', [4, 2]), b.ints([3, -4], [2, 1]), weight('u', [2, 2])], whole({ reduction })),
    ),
  ]),
  still('ScatterElements that adds to one place twice', ({ b, weight }) =>
    b.op('ScatterElements', [weight('w', [3]), b.ints([1, 1]), weight('u', [2])], whole({ reduction: 'add' })),
  ),
]

function padded(name: string, dims: number[], pads: number[], mode: string, axes?: number[], filling = false): Case {
  return still(`Pad ${name}, ${mode}`, (parts) => {
    const { b } = parts
    const value = filling ? literal(parts, 0.7) : ''
    return b.op(
      'Pad',
      [parts.weight('w', dims), b.ints(pads), ...(filling || axes ? [value] : []), ...(axes ? [b.ints(axes)] : [])],
      whole({ mode }),
    )
  })
}

const pads = [
  padded('of both axes', [2, 3], [1, 0, 0, 2], 'constant'),
  padded('with a number', [2, 3], [1, 0, 0, 2], 'constant', undefined, true),
  padded('of a chosen axis', [2, 3, 2], [1, 2], 'constant', [-2]),
  padded('that crops', [3, 4], [-1, 0, 0, -2], 'constant'),
  padded('that crops and pads', [3, 4], [-1, 2, 1, -1], 'constant', undefined, true),
  ...['edge', 'reflect'].flatMap((mode) => [
    padded('of both axes', [3, 4], [1, 2, 2, 1], mode),
    padded('of one axis', [3, 4], [2, 2], mode, [1]),
  ]),
  padded('of both axes', [3, 4], [1, 2, 2, 1], 'wrap'),
  batched('Pad of an image by reflection', [2, 3, 4], ({ b }, x) =>
    b.op('Pad', [x, b.ints([0, 0, 1, 2, 0, 0, 1, 1])], whole({ mode: 'reflect' })),
  ),
]

export const INDEXING: Case[] = [...slices, ...gathers, ...scatters, ...pads]

const dims = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })

/** Any start, end and step, in range or not, of any of the axes, that leave something. */
export const anySlice: fc.Arbitrary<Case> = dims.chain((dims) =>
  fc
    .record({
      axes: fc.subarray([...dims.keys()], { minLength: 1 }),
      cuts: fc.array(
        fc.record({ from: fc.integer({ min: -5, max: 5 }), to: fc.integer({ min: -6, max: 6 }), step: fc.constantFrom(1, 2, 3, -1, -2) }),
        {
          minLength: 4,
          maxLength: 4,
        },
      ),
      negative: fc.boolean(),
    })
    .map(({ axes, cuts, negative }) => {
      const list = axes.map((axis, i) => {
        const { from, to, step } = cuts[i]!
        const positions = Array.from({ length: dims[axis]! }, (_, position) => position).slice(...(step > 0 ? [from, to] : []))
        // An empty cut takes the whole axis in its direction.
        const empty = step > 0 ? positions.length === 0 : cutBackwards(dims[axis]!, from, to) <= 0
        return {
          axis: negative ? axis - dims.length : axis,
          step,
          ...(empty ? (step > 0 ? { from: 0, to: END } : { from: -1, to: -END }) : { from, to }),
        }
      })
      return sliced(
        `of [${dims}] ${JSON.stringify(list)}`,
        dims,
        list.map(({ from }) => from),
        list.map(({ to }) => to),
        list.map(({ axis }) => axis),
        list.map(({ step }) => step),
      )
    }),
)

/** How many positions lie from `from` down to, without, `to`. */
function cutBackwards(size: number, from: number, to: number): number {
  const clamp = (value: number, low: number) => Math.min(Math.max(value < 0 ? value + size : value, low), size - 1)
  return clamp(from, 0) - clamp(to, -1)
}

export const anyPad: fc.Arbitrary<Case> = dims.chain((dims) => {
  const amount = (dim: number, mode: string) =>
    fc.integer({
      min: mode === 'constant' ? -Math.floor((dim - 1) / 2) : 0,
      max: mode === 'edge' ? 3 : Math.min(3, mode === 'constant' ? 3 : dim - 1),
    })
  return fc
    .constantFrom('constant', 'edge', 'reflect')
    .chain((mode) => {
      const side = fc.tuple(...dims.map((dim) => amount(dim, mode)))
      return fc.record({ mode: fc.constant(mode), begin: side, end: side, filling: fc.boolean() })
    })
    .map(({ mode, begin, end, filling }) =>
      padded(`[${dims}] by [${begin}] and [${end}], filling ${filling}`, dims, [...begin, ...end], mode, undefined, filling),
    )
})

export const anyGather: fc.Arbitrary<Case> = fc
  .record({
    op: fc.constantFrom('Gather', 'GatherElements'),
    dims,
    axis: fc.nat(3),
    back: fc.boolean(),
    indices: fc.array(
      fc.integer({ min: -1, max: 0 }).chain((side) => fc.nat(3).map((at) => (side < 0 ? -1 - at : at))),
      { minLength: 4, maxLength: 4 },
    ),
    form: fc.constantFrom([], [1], [3], [2, 2]),
  })
  .map(({ op, dims, axis: wanted, back, indices, form }) => {
    const axis = wanted % dims.length
    const size = dims[axis]!
    const inRange = (i: number) => (indices[i % 4]! < 0 ? -1 - ((-1 - indices[i % 4]!) % size) : indices[i % 4]! % size)
    const indexDims = op === 'Gather' ? form : dims.with(axis, 2)
    const count = indexDims.reduce((product, dim) => product * dim, 1)
    const attributes: Attributes = whole({ axis: back ? axis - dims.length : axis })
    const values = Array.from({ length: count }, (_, i) => inRange(i))
    return still(`${op} of [${dims}] at [${values}] of shape [${indexDims}] ${JSON.stringify(attributes)}`, ({ b, weight }) =>
      b.op(op, [weight('w', dims), b.ints(values, indexDims)], attributes),
    )
  })
