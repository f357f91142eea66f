// Constant folding against onnxruntime itself: what is computed at compile time is what the runtime would have computed.
import fc from 'fast-check'
import { InferenceSession } from 'onnxruntime-node'
import t from 'tap'
import { FOLD_ELEMENTS, FOLDED, fold } from '../../models/fold.ts'
import { type Attribute, bytesOf, type Node, type Tensor, type TensorType, TYPE } from '../../models/graph.ts'
import { encodeModel, OPSET, parseModel, writeModel } from '../../models/serialize.ts'
import type { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'

type Attributes = Record<string, Attribute>
/** undefined is an optional input that is left out. */
type Inputs = readonly (Tensor | undefined)[]

const ARRAYS = {
  [TYPE.float32]: ['float32', Float32Array],
  [TYPE.float64]: ['float64', Float64Array],
  [TYPE.int64]: ['int64', BigInt64Array],
  [TYPE.uint64]: ['uint64', BigUint64Array],
  [TYPE.int32]: ['int32', Int32Array],
  [TYPE.uint8]: ['uint8', Uint8Array],
  [TYPE.bool]: ['bool', Uint8Array],
} as const

const bytes = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

const of =
  (type: TensorType) =>
  (values: readonly (number | bigint)[], dims: readonly number[] = [values.length]): Tensor => {
    const wide = type === TYPE.int64 || type === TYPE.uint64
    const array = wide ? BigInt64Array.from(values, BigInt) : new ARRAYS[type][1](values.map(Number) as never)
    return { type, dims, data: bytes(array as ArrayBufferView) }
  }
const f32 = of(TYPE.float32)
const f64 = of(TYPE.float64)
const i64 = of(TYPE.int64)
const i32 = of(TYPE.int32)
const bool = of(TYPE.bool)
const MAX = 2n ** 63n - 1n
const MIN = -(2n ** 63n)

const int = (value: number) => ({ int: value })
const ints = (...values: number[]) => ({ ints: values })
/** 0, 1, 2, ... in a shape. */
const count = (...dims: number[]) => i64([...Array(sizeOf(dims)).keys()], dims)
const countF = (...dims: number[]) => f32([...Array(sizeOf(dims)).keys()], dims)

const nodeOf = (op: string, inputs: Inputs, attributes: Attributes = {}, results = 1): Node => ({
  op,
  name: '',
  inputs: inputs.map((tensor, i) => (tensor === undefined ? '' : `c${i}`)),
  outputs: Array.from({ length: results }, (_, i) => `y${i}`),
  attributes,
})

const folded = (node: Node, inputs: Inputs): Tensor[] | undefined =>
  fold(
    node,
    inputs.map((tensor) => tensor?.dims ?? []),
    inputs,
  )

interface Ran {
  type: string
  dims: readonly number[]
  data: ArrayBufferView & ArrayLike<number | bigint>
}

/** The node's results in onnxruntime; `types` and ranks are declared, as ONNX asks. */
async function run(node: Node, inputs: Inputs, results: readonly Tensor[], opset: number): Promise<Ran[]> {
  const model = parseModel(
    encodeModel({
      name: 'fold',
      inputs: [],
      outputs: results.map(({ type, dims }, i) => ({ name: `y${i}`, type, dims: dims.map((_, axis) => `y${i}_${axis}`) })),
      nodes: [node],
      constants: new Map(inputs.flatMap((tensor, i) => (tensor === undefined ? [] : [[`c${i}`, tensor]]))),
    }),
  )
  model.opsetImport[0]!.version = BigInt(opset)
  // As it is written: onnxruntime folds constants itself otherwise, which takes longer than to run the node.
  const runtime = await InferenceSession.create(writeModel(model), { graphOptimizationLevel: 'disabled', logSeverityLevel: 4 })
  const values = await runtime.run({})
  return results.map((_, i) => values[`y${i}`] as unknown as Ran)
}

/** What is wrong with fold()'s results, compared with onnxruntime's; empty if nothing is. */
async function differences(node: Node, inputs: Inputs, { opset = OPSET, ulps = 0 } = {}): Promise<string[]> {
  const results = folded(node, inputs)
  if (results === undefined) return ['is not folded']
  const expected = await run(node, inputs, results, opset)
  return results.flatMap(({ type, dims, data }, i) => {
    const { type: wanted, dims: shape, data: values } = expected[i]!
    const [name, Values] = ARRAYS[type]
    if (name !== wanted || dims.join() !== shape.join()) return [`${name} [${dims}] where ${wanted} [${shape}] is right`]
    const ours = new Values(data!.slice().buffer as ArrayBuffer)
    const step = type === TYPE.float32 ? 2 ** -23 : 2 ** -52
    const same = (a: number | bigint, b: number | bigint): boolean =>
      a === b || (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(Number(a) - Number(b)) <= ulps * step * Math.abs(Number(b))
    const wrong = Array.from(values).findIndex((value, at) => !same(ours[at]!, value))
    return wrong < 0 ? [] : [`${ours[wrong]} where ${values[wrong]} is right, at ${wrong}`]
  })
}

interface Case {
  attributes?: Attributes
  results?: number
  opset?: number
  /** Units in the last place that a float may differ in; both sides round, each its own way. */
  ulps?: number
}
const cases: [string, Inputs, Case?][] = []
const also = (op: string, inputs: Inputs, more?: Case): void => void cases.push(more ? [op, inputs, more] : [op, inputs])
const given = (attributes: Attributes): Case => ({ attributes })

// Made of nothing, or of a shape.
also('Constant', [], given({ value: { tensor: f32([1.5, -2], [2, 1]) } }))
also('Constant', [], given({ value_float: { float: 0.5 } }))
also('Constant', [], given({ value_floats: { floats: [0.5, 0.1] } }))
also('Constant', [], given({ value_int: int(-3) }))
also('Constant', [], given({ value_ints: ints(1, 2, 3) }))
also('Shape', [countF(2, 3, 4)])
also('Shape', [countF(2, 3, 4)], given({ start: int(-2) }))
also('Shape', [countF(2, 3, 4)], given({ start: int(1), end: int(-1) }))
also('Shape', [countF(2, 3, 4)], given({ start: int(-9), end: int(9) }))
also('Shape', [countF(2, 3, 4)], given({ start: int(2), end: int(1) }))
also('Shape', [f32([1], [])])
also('Size', [countF(2, 3, 4)])
also('ConstantOfShape', [i64([2, 3])])
also('ConstantOfShape', [i64([2, 0, 3])], given({ value: { tensor: i64([7]) } }))
also('ConstantOfShape', [i64([])], given({ value: { tensor: bool([1]) } }))
also('ConstantOfShape', [i64([4])], given({ value: { tensor: i64([MAX]) } }))
also('EyeLike', [countF(3, 4)])
also('EyeLike', [count(3, 4)], given({ dtype: int(TYPE.float32), k: int(1) }))
also('EyeLike', [countF(4, 2)], given({ dtype: int(TYPE.int64), k: int(-1) }))
for (const [start, limit, delta] of [
  [0, 5, 1],
  [3, 9, 2],
  [3, 10, 3],
  [9, 0, -2],
  [0, -3, 1],
  [2, 2, 1],
] as const) {
  for (const type of [i64, i32, f32, f64])
    also(
      'Range',
      [start, limit, delta].map((value) => type([value], [])),
    )
}
also('Range', [f32([0.1], []), f32([5.3], []), f32([0.1], [])])
also('Range', [i64([MAX - 5n], []), i64([MAX], []), i64([2], [])])

// Other shapes and orders.
for (const shape of [[2, 6], [-1], [0, 0, 1], [2, -1], [3, -1, 2]]) also('Reshape', [count(4, 3), i64(shape)])
also('Reshape', [f32([], [0, 3]), i64([3, 0])], given({ allowzero: int(1) }))
also('Reshape', [f32([5], []), i64([1, -1])])
also('Reshape', [f32([5], [1]), i64([])])
for (const axis of [0, 1, 2, 3, -1, -3]) also('Flatten', [countF(2, 3, 4)], given({ axis: int(axis) }))
also('Identity', [i64([MAX, MIN])])
also('Squeeze', [countF(1, 3, 1)])
also('Squeeze', [countF(1, 3, 1), i64([-1])])
also('Squeeze', [countF(1, 3, 1), i64([])])
also('Squeeze', [countF(1, 3, 1)], { attributes: { axes: ints(0) }, opset: 12 })
also('Unsqueeze', [countF(2, 3), i64([0, -1])])
also('Unsqueeze', [f32([2], []), i64([0])])
also('Unsqueeze', [countF(2, 3)], { attributes: { axes: ints(1, 3) }, opset: 12 })
also('Transpose', [countF(2, 3, 4)])
also('Transpose', [count(2, 3, 4)], given({ perm: ints(1, 2, 0) }))
also('Transpose', [bool([1, 0, 0, 1, 1, 0], [2, 3])], given({ perm: ints(1, 0) }))
also('Expand', [count(3, 1), i64([2, 1, 4])])
also('Expand', [count(3, 4), i64([1])])
also('Expand', [f32([2], []), i64([2, 2])])
also('Expand', [f32([2], []), i64([])])
also('Expand', [bool([1, 0], [1, 2]), i64([3, 2])])
also('Expand', [count(1, 2), i64([0, 2])])
also('Tile', [countF(2, 3), i64([2, 2])])
also('Tile', [count(2, 1, 2), i64([1, 3, 0])])

// Cuts, joins, picks.
const x234 = count(2, 3, 4)
also('Slice', [x234, i64([1]), i64([MAX]), i64([1])])
also('Slice', [x234, i64([-1]), i64([MIN]), i64([2]), i64([-1])])
also('Slice', [x234, i64([0, 1]), i64([2, 3])])
also('Slice', [x234, i64([3, 2]), i64([MIN, MIN]), i64([-1, 1]), i64([-2, -1])])
also('Slice', [x234, i64([MIN]), i64([-1]), i64([2])])
also('Slice', [x234, i64([9]), i64([12]), i64([2])])
also('Slice', [x234, i64([2]), i64([1]), i64([2])])
also('Slice', [x234, i32([0]), i32([4]), i32([2]), i32([3])])
also('Slice', [i64([MAX, 5, MIN]), i64([0]), i64([2])])
also('Slice', [f32([], [0, 2]), i64([-1]), i64([MIN]), i64([0]), i64([-1])])
also('Split', [count(6, 2)], { attributes: { num_outputs: int(3) }, results: 3 })
also('Split', [count(7, 2)], { attributes: { num_outputs: int(3) }, results: 3 })
also('Split', [count(2, 7), i64([2, 0, 5])], { attributes: { axis: int(-1) }, results: 3 })
also('Split', [count(2, 6)], { attributes: { axis: int(1) }, results: 2, opset: 13 })
also('Split', [count(2, 6)], { attributes: { axis: int(1), split: ints(1, 5) }, results: 2, opset: 12 })
also('Concat', [i64([1]), i64([]), i64([2, 3])], given({ axis: int(0) }))
also('Concat', [countF(2, 1), countF(2, 3)], given({ axis: int(-1) }))
also('Concat', [countF(2, 1, 2), countF(2, 3, 2), countF(2, 2, 2)], given({ axis: int(1) }))
also('Gather', [x234, i64([1, -1, 0])], given({ axis: int(2) }))
also('Gather', [x234, i64([0, 1, -3, 2], [2, 2])], given({ axis: int(1) }))
also('Gather', [x234, i64([1], [])])
also('Gather', [f32([7, 8]), i32([-1], [])])
also('GatherElements', [countF(3, 3), i64([0, 2, -1, 1], [2, 2])], given({ axis: int(1) }))
also('GatherElements', [countF(3, 3), i64([0, 2, -1, 1, 1, 0], [2, 3])])
also('GatherND', [x234, i64([0, 2, 1, -1], [2, 2])])
also('GatherND', [x234, i64([0, 2, 1, 1, 0, 0], [2, 3])])
also('GatherND', [x234, i64([1, -1], [2, 1])], given({ batch_dims: int(1) }))
also('GatherND', [x234, i64([1, 2], [2])])
also('ScatterND', [countF(4, 2), i64([1, 3], [2, 1]), f32([9, 8, 7, 6], [2, 2])])
also('ScatterND', [count(2, 3), i64([0, 1, 1, -1], [2, 2]), i64([MAX, 8])])
also('ScatterElements', [countF(3, 3), i64([1, 0, 2, 0, 2, 1], [2, 3]), f32([1.5, 2.5, 3.5, 4.5, 5.5, 6.5], [2, 3])])
also('ScatterElements', [countF(1, 5), i64([1, -2], [1, 2]), f32([1.5, 2.5], [1, 2])], given({ axis: int(1) }))
also('Pad', [countF(2, 3), i64([1, 0, 0, 2])])
also('Pad', [countF(2, 3), i64([1, 0, 0, 2]), f32([-1], [])])
also('Pad', [count(3, 4), i64([-1, 1, 1, -2]), i64([9], [])])
also('Pad', [countF(2, 3), i64([1, 2]), f32([5], []), i64([-1])])
also('Pad', [bool([1, 1], [2]), i64([1, 1]), bool([0], [])], given({ mode: { string: 'constant' } }))
for (const k of [-2, -1, 0, 1, 3]) {
  also('Trilu', [countF(2, 3, 4), i64([k], [])])
  also('Trilu', [count(4, 3), i64([k], [])], given({ upper: int(0) }))
}
also('Trilu', [bool(Array(9).fill(1), [3, 3])])
also('OneHot', [i64([1, -1, 5], [3]), i64([4], []), f32([0, 1])])
also('OneHot', [i64([1, 0, 2, 3], [2, 2]), i64([4]), i64([-1, 1])], given({ axis: int(1) }))
also('OneHot', [i64([2, 0]), i64([3], []), f32([0.5, 2])], given({ axis: int(0) }))
also('Where', [bool([1, 0], [2, 1]), countF(1, 3), f32([9], [])])
also('Where', [bool([1, 0]), i64([MAX, MAX]), i64([MIN, MIN])])

// Value by value.
const SOME = [0, 1, -1, 2.5, -2.5, 0.5, -0.5, 1.5, 3, 7.25, -1000.125, 1e-3]
const WHOLE = [0, 1, -1, 2, -2, 5, -7, 100, 3, 8, -9, 12]
for (const op of ['Add', 'Sub', 'Mul', 'Min', 'Max', 'Div', 'Pow', 'Mod', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Equal']) {
  const [a, b] = [[...WHOLE], WHOLE.toReversed().map((value) => (value === 0 ? 4 : value))]
  const floats = [f32(SOME, [3, 4]), f32([1.5, -2, 0.75, 3])] as const
  const attributes: Attributes = op === 'Mod' ? { fmod: int(1) } : {}
  const ulps = op === 'Pow' ? 2 : 0
  also(op, floats, { attributes, ulps })
  also(
    op,
    floats.map(({ data, dims }) => f64([...new Float32Array(data!.slice().buffer)], dims)),
    { attributes, ulps },
  )
  if (op === 'Pow') continue
  also(op, [i64(a), i64(b)])
  also(op, [i32(a, [12, 1]), i32(b.slice(0, 2))])
  if (op === 'Mod') also(op, [i64(a), i64(b)], { attributes })
}
for (const op of ['Add', 'Sub', 'Mul']) {
  also(op, [i64([MAX, MIN, 2n ** 53n + 1n]), i64([1, 3, 1])])
  also(op, [i32([2 ** 31 - 1, -(2 ** 31), 123_456_789]), i32([2, -3, 987_654_321])])
}
also('Pow', [i64([2, 3, -2, 5]), i64([10, 3, 5, 0])])
also('Pow', [f32([2, 3, 4]), i64([3, 2, -1])])
also('Pow', [i32([2, 9, 2]), f32([3, 0.5, -1])])
also('Equal', [bool([1, 0, 1]), bool([1, 1, 0])])
also('Equal', [f32([Number.NaN, 0]), f32([Number.NaN, -0])])
also('Div', [f32([1, -1, 0]), f32([0, 0, 0])])
for (const op of ['Min', 'Max', 'Sum', 'Mean']) {
  also(op, [f32([1, 5.1, 3.3]), f32([4], []), f32([2.2, 3.7], [2, 1])])
  also(op, [f32([1.25, -3])])
}
also('Max', [i64([1, MAX]), i64([5], []), i64([MIN, 2])])
also('Min', [i32([1, 7]), i32([5], [])])
for (const op of ['And', 'Or', 'Xor']) also(op, [bool([0, 0, 1, 1]), bool([0, 1, 0, 1])])
also('And', [bool([0, 1], [2, 1]), bool([0, 1])])
also('Not', [bool([0, 1, 1])])
for (const op of ['Neg', 'Abs', 'Sign'])
  for (const type of [f32, f64, i64, i32]) also(op, [type(type === i64 || type === i32 ? WHOLE : SOME)])
for (const op of ['Floor', 'Ceil', 'Round', 'Reciprocal', 'Sin', 'Cos', 'Exp']) {
  // Sines of large numbers are not onnxruntime's strength.
  const values = op === 'Sin' || op === 'Cos' ? SOME.filter((value) => Math.abs(value) < 100) : SOME
  for (const type of [f32, f64]) also(op, [type(values)], op === 'Reciprocal' || op === 'Round' ? {} : { ulps: 4 })
}
for (const op of ['Sqrt', 'Log']) for (const type of [f32, f64]) also(op, [type([0, 1, 2, 0.3, 1e10, -1])], op === 'Log' ? { ulps: 4 } : {})
also('Clip', [f32(SOME), f32([-1], []), f32([2], [])])
also('Clip', [i64(WHOLE), undefined, i64([2], [])])
also('Clip', [f32(SOME), f32([1], [])])
also('Clip', [f32(SOME), f32([3], []), f32([1], [])])
also('Clip', [f32(SOME)])
for (const to of [TYPE.float32, TYPE.float64, TYPE.int64, TYPE.int32, TYPE.bool, TYPE.uint8]) {
  const least = to === TYPE.uint8 ? 0 : -1e9
  const attributes = { to: int(to) }
  also('Cast', [f32(SOME.filter((value) => value >= least))], { attributes })
  also('Cast', [f64([0.1, 1e-50, 3.9, 200.5])], { attributes })
  also('Cast', [i64([1, 0, -1, 300, 2n ** 32n + 5n, MAX])], { attributes })
  also('Cast', [i32([1, 0, -1, 300])], { attributes })
  also('Cast', [bool([1, 0])], { attributes })
}
also('Cast', [f32([Number.NaN, 0, -0])], given({ to: int(TYPE.bool) }))
also('CastLike', [f32([2.7, -2.7]), i64([1])])
also('CastLike', [i64([2, 3]), f32([1])])

// Along axes.
for (const op of ['ReduceSum', 'ReduceProd', 'ReduceMax', 'ReduceMin', 'ReduceMean']) {
  const x = f32(SOME.concat(SOME.toReversed().map((value) => value + 1)), [2, 3, 4])
  const ulps = 4
  also(op, [x], { ulps })
  also(op, [x, i64([1])], { ulps })
  also(op, [x, i64([0, -1])], { attributes: { keepdims: int(0) }, ulps })
  also(op, [x, i64([])], { attributes: { noop_with_empty_axes: int(1) } })
  also(op, [x, i64([])], { ulps })
  if (op !== 'ReduceSum') also(op, [x], { attributes: { axes: ints(1, 2), keepdims: int(0) }, opset: 13, ulps })
  also(op, [i64([3, 4, 5, -7], [2, 2]), i64([0])])
  also(op, [i32([3, 4, 5, -7], [2, 2]), i64([1])], given({ keepdims: int(0) }))
}
also('ReduceSum', [f32([], [0, 2]), i64([0])])
also('ReduceProd', [f32([], [2, 0]), i64([1])])
for (const op of ['ReduceMax', 'ReduceMin']) also(op, [bool([0, 1, 1, 1], [2, 2]), i64([1])])
for (const op of ['ArgMax', 'ArgMin']) {
  const x = f32([1, 3, 3, 2, 0, 0, 5, 5, 5, -1, 4, -1], [2, 3, 2])
  also(op, [x])
  also(op, [x], given({ axis: int(1), keepdims: int(0) }))
  also(op, [x], given({ axis: int(-2), select_last_index: int(1) }))
  also(op, [i32([1, 3, 3, 2], [4])])
}
for (const [exclusive, reverse] of [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
] as const) {
  for (const axis of [0, -1])
    also('CumSum', [f32(SOME, [3, 4]), i64([axis], [])], given({ exclusive: int(exclusive), reverse: int(reverse) }))
  also('CumSum', [i64([1, MAX, 3]), i64([0], [])], given({ exclusive: int(exclusive), reverse: int(reverse) }))
}
also('NonZero', [f32([0, 2, -0, Number.NaN, 0, 1], [2, 3])])
also('NonZero', [bool([1, 0, 1])])
also('NonZero', [i64([0, 0])])

t.test('every folded operator gives what onnxruntime gives', async (t) => {
  const tried = new Set(cases.map(([op]) => op))
  t.strictSame(
    FOLDED.filter((op) => !tried.has(op)),
    [],
    'each has a case',
  )
  for (const [op, inputs, { attributes = {}, results = 1, ...options } = {}] of cases) {
    const shapes = inputs.map((tensor) => tensor && `${ARRAYS[tensor.type][0]}[${tensor.dims}]`)
    const found = await differences(nodeOf(op, inputs, attributes, results), inputs, options).catch((error: Error) => [error.message])
    t.strictSame(found, [], `${op} ${shapes.join(' ')} ${JSON.stringify(attributes)}`)
  }
})

const dimsOf = (maxRank: number, minDim = 0) => fc.array(fc.integer({ min: minDim, max: 4 }), { maxLength: maxRank })

/** What `shape` may broadcast from: ones in places, or fewer axes. */
const narrower = (shape: readonly number[]) =>
  fc
    .tuple(fc.integer({ min: 0, max: shape.length }), fc.tuple(...shape.map(() => fc.boolean())))
    .map(([drop, ones]) => shape.map((dim, i) => (ones[i] ? 1 : dim)).slice(drop))

const agrees = async (op: string, inputs: Inputs, attributes: Attributes = {}, results = 1) => {
  const found = await differences(nodeOf(op, inputs, attributes, results), inputs)
  if (found.length > 0) throw new Error(`${op} ${inputs.map((tensor) => `[${tensor?.dims}]`).join(' ')}: ${found.join('; ')}`)
}

t.test('shapes broadcast as in onnxruntime', async () => {
  await fc.assert(
    fc.asyncProperty(
      dimsOf(4).chain((shape) => fc.tuple(narrower(shape), narrower(shape), narrower(shape))),
      async ([a, b, c]) => {
        const condition = bool(
          Array.from({ length: sizeOf(c) }, (_, i) => i % 2),
          c,
        )
        await agrees('Sub', [count(...a), count(...b)])
        await agrees('Less', [countF(...a), countF(...b)])
        await agrees('Where', [condition, count(...a), count(...b)])
        await agrees('Expand', [countF(...a), i64(b)])
      },
    ),
    { numRuns: 60 },
  )
})

t.test('cuts are those of onnxruntime, forwards and backwards, within bounds and beyond', async () => {
  const bound = fc.oneof(fc.bigInt({ min: -6n, max: 6n }), fc.constantFrom(MIN, MAX, 2n ** 31n - 1n))
  const step = fc.constantFrom(-3, -2, -1, 1, 2, 3)
  await fc.assert(
    fc.asyncProperty(
      dimsOf(4, 1).chain((shape) => fc.tuple(fc.constant(shape), fc.tuple(...shape.map(() => fc.tuple(bound, bound, step, fc.boolean()))))),
      async ([shape, cuts]) => {
        const axes = cuts.flatMap((_, axis) => (axis === 0 || cuts[axis]![3] ? [axis] : [])).toReversed()
        const list = (part: 0 | 1 | 2) => i64(axes.map((axis) => cuts[axis]![part]))
        if (axes.length > 0) await agrees('Slice', [count(...shape), list(0), list(1), i64(axes), list(2)])
      },
    ),
    { numRuns: 200 },
  )
})

t.test('picking, placing and moving values along any axis is as in onnxruntime', async () => {
  const random = fc.array(fc.nat({ max: 1000 }), { minLength: 64, maxLength: 64 })
  const scene = dimsOf(4, 1).filter((shape) => shape.length > 0)
  await fc.assert(
    fc.asyncProperty(scene, dimsOf(2), fc.nat(), random, async (shape, places, seed, numbers) => {
      const x = count(...shape)
      const rank = shape.length
      const axis = seed % rank
      const dim = shape[axis]!
      const along = { axis: int(seed % 2 === 0 ? axis : axis - rank) }
      const indices = (dims: readonly number[], limit: (i: number) => number) =>
        i64(
          Array.from({ length: sizeOf(dims) }, (_, i) => (numbers[i % 64]! % (2 * limit(i))) - limit(i)),
          dims,
        )
      const depth = 1 + (seed % rank)
      const rows = indices([...places, depth], (i) => shape[i % depth]!)
      const same = indices(shape, () => dim)
      const perm = [...shape.keys()].sort((a, b) => numbers[a]! - numbers[b]!)
      const pads = [...shape, ...shape].map((_, i) => (numbers[i]! % 4) - 1).map((pad, i) => (pad < 0 && shape[i % rank]! < 2 ? 0 : pad))
      const cut = numbers[0]! % (dim + 1)
      const floatsOfShape = f32(numbers.concat(numbers, numbers, numbers).slice(0, sizeOf(shape)), shape)
      await agrees('Gather', [x, indices(places, () => dim)], along)
      await agrees('GatherElements', [x, same], along)
      if (!places.includes(0)) await agrees('GatherND', [x, rows])
      await agrees('Transpose', [x], { perm: ints(...perm) })
      await agrees('Tile', [x, i64(shape.map((_, i) => numbers[i]! % 3))])
      await agrees('Pad', [x, i64(pads)])
      await agrees('Split', [x, i64([cut, dim - cut])], along, 2)
      await agrees('Concat', [x, x, x], along)
      await agrees('CumSum', [x, i64([axis], [])], { reverse: int(seed % 2) })
      await agrees('ReduceSum', [x, i64([axis])], { keepdims: int(seed % 2) })
      await agrees('ArgMax', [floatsOfShape], { ...along, keepdims: int(seed % 2) })
      await agrees('OneHot', [same, i64([dim], []), f32([0, 1])], along)
      await agrees('NonZero', [floatsOfShape])
      if (rank > 1) await agrees('Trilu', [x, i64([(numbers[1]! % 7) - 3], [])], { upper: int(seed % 2) })
    }),
    { numRuns: 50 },
  )
})

t.test('what would be large, or is not known, is left alone', async (t) => {
  const side = Math.sqrt(FOLD_ELEMENTS)
  const huge = i64([1e9, 1e9])
  const many = { type: TYPE.float32, dims: [FOLD_ELEMENTS + 1], data: new Uint8Array(4 * (FOLD_ELEMENTS + 1)) }
  const row = { type: TYPE.float32, dims: [1, side + 1], data: new Uint8Array(4 * (side + 1)) }
  const column = { ...row, dims: [side + 1, 1] }
  const left: [string, Inputs, Attributes?][] = [
    ['Range', [0, 1e9, 1].map((value) => i64([value], []))],
    ['Range', [0, 1, 1e-30].map((value) => f32([value], []))],
    ['ConstantOfShape', [huge]],
    ['Expand', [f32([1]), huge]],
    ['Expand', [f32([1]), i64(Array(8).fill(2 ** 53))]],
    ['Tile', [countF(1, 1), huge]],
    ['Pad', [countF(1, 1), i64([0, 0, 1e9, 1e9])]],
    ['OneHot', [i64([1]), i64([1e9], []), f32([0, 1])]],
    ['Gather', [countF(2, 300), i64(Array(300).fill(0))]],
    ['GatherND', [countF(2, 300), i64(Array(300).fill(0), [300, 1])]],
    ['Add', [row, column]],
    ['Where', [bool([1]), row, column]],
    ['Neg', [many]],
    ['ReduceSum', [many]],
    ['Identity', [many]],
    ['Slice', [many, i64([0]), i64([MAX])]],
    ['Unsqueeze', [f32([1], Array(8).fill(1)), i64([0])]],
    // Values of which C++ does not say what they are.
    ['Cast', [f32([Number.NaN])], { to: int(TYPE.int64) }],
    ['Cast', [f32([1e30])], { to: int(TYPE.int32) }],
    ['Cast', [f32([-1])], { to: int(TYPE.uint8) }],
    ['Pow', [i32([2]), i32([31])]],
    ['ReduceMax', [f32([], [0])]],
    ['Sum', Array(1000).fill(f32([1]))],
    ['Relu', [f32([1])]],
  ]
  for (const [op, inputs, attributes] of left) t.equal(folded(nodeOf(op, inputs, attributes), inputs), undefined, op)

  const hollow: Tensor = { type: TYPE.float32, dims: [2], data: undefined }
  t.equal(folded(nodeOf('Neg', [hollow]), [hollow]), undefined, 'a trainable tensor is not known')
  t.equal(fold(nodeOf('Add', [hollow, f32([1])]), [[2], [1]], [undefined, f32([1])]), undefined, 'nor is what the model computes')
  t.strictSame(fold(nodeOf('Shape', [hollow]), [[5, 2]], [undefined]), [i64([5, 2])], 'but its shape is')
  t.strictSame(folded(nodeOf('Slice', [many, i64([5]), i64([7])]), [many, i64([5]), i64([7])]), [f32([0, 0])], 'a little of much is picked')
})

t.test('a node that is not as ONNX says is refused, and onnxruntime refuses it too', async (t) => {
  const x = countF(2, 3)
  const bad: [string, Inputs, Attributes?, number?][] = [
    ['Add', [x, f32([1, 2])]],
    ['Add', [x, i64([1])]],
    ['Add', [bool([1]), bool([0])]],
    ['Add', [x]],
    ['And', [x, x]],
    ['Sqrt', [i64([4])]],
    ['Mod', [x, x]],
    ['Div', [i64([1, 2]), i64([3, 0])]],
    ['Div', [i32([1]), i32([0], [])]],
    ['Mod', [i64([1]), i64([0])]],
    ['Where', [x, x, x]],
    ['Reshape', [x, i64([4, -1])]],
    ['Reshape', [x, i64([-1, -1])]],
    ['Reshape', [x, i64([7])]],
    ['Reshape', [x, i64([2, 3, 0])]],
    ['Flatten', [x], { axis: int(3) }],
    ['Squeeze', [x, i64([0])]],
    ['Squeeze', [x, i64([5])]],
    ['Unsqueeze', [x, i64([0, 0])]],
    ['Unsqueeze', [x, i64([4])]],
    ['Transpose', [x], { perm: ints(0, 0) }],
    ['Transpose', [x], { perm: ints(0) }],
    ['Expand', [x, i64([2, 2])]],
    ['Expand', [x, i64([-2, 3])]],
    ['Tile', [x, i64([2])]],
    ['Tile', [x, i64([2, -1])]],
    ['Concat', [x, countF(3, 2)], { axis: int(0) }],
    ['Concat', [x, x], { axis: int(2) }],
    ['Concat', [x, count(2, 3)], { axis: int(0) }],
    ['Split', [x, i64([1, 1])], { axis: int(1) }, 2],
    ['Split', [x, i64([4, -1])], { axis: int(1) }, 2],
    ['Slice', [x, i64([0]), i64([1]), i64([0]), i64([0])]],
    ['Slice', [x, i64([0, 0]), i64([1])]],
    ['Slice', [x, i64([0]), i64([1]), i64([2])]],
    ['Gather', [x, i64([2])]],
    ['Gather', [x, i64([-3])]],
    ['Gather', [x, f32([0])]],
    ['GatherElements', [x, i64([0])]],
    ['GatherND', [x, i64([0, 0, 0], [1, 3])]],
    ['GatherND', [x, i64([2], [1, 1])]],
    ['ScatterND', [x, i64([0], [1, 1]), f32([1, 2])]],
    ['ScatterElements', [x, i64([0, 0], [1, 2]), f32([1], [1, 1])]],
    ['Pad', [x, i64([1, 1])]],
    ['Pad', [x, i64([-3, 0, 0, 0])]],
    ['Trilu', [f32([1])]],
    ['OneHot', [i64([1]), i64([0], []), f32([0, 1])]],
    ['Range', [0, 1, 0].map((value) => i64([value], []))],
    ['ConstantOfShape', [i64([-1])]],
    ['ConstantOfShape', [i64([2])], { value: { tensor: f32([1, 2]) } }],
    ['EyeLike', [f32([1])]],
    ['ReduceSum', [x, i64([2])]],
    ['ArgMax', [x], { axis: int(2) }],
    ['CumSum', [x, i64([2], [])]],
    ['Constant', [], { value_string: { string: 'words' } }],
    ['Identity', [x], {}, 2],
  ]
  for (const [op, inputs, attributes = {}, results = 1] of bad) {
    const node = nodeOf(op, inputs, attributes, results)
    const label = `${op} ${inputs.map((tensor) => `[${tensor?.dims}]`).join(' ')} ${JSON.stringify(attributes)}`
    t.throws(() => folded(node, inputs), { code: 'model-invalid' }, label)
    const declared = Array.from({ length: results }, () => inputs[0] ?? x)
    if (op !== 'Constant') await t.rejects(run(node, inputs, declared, OPSET), label)
  }
})

t.test('whatever a node says, it is folded, left alone, or refused as malformed, at once', async (t) => {
  const small = fc.oneof(fc.integer({ min: -3, max: 4 }), fc.constantFrom(1e9, -1e9, 2 ** 40))
  const tensor = fc
    .tuple(fc.constantFrom(f32, f64, i64, i32, bool), dimsOf(3), fc.array(small, { minLength: 64, maxLength: 64 }))
    .map(([type, dims, values]) => type(values.slice(0, sizeOf(dims)), dims))
  const attribute = fc.oneof(
    small.map(int),
    fc.array(small, { maxLength: 4 }).map((values) => ints(...values)),
    tensor.map((value) => ({ tensor: value })),
  )
  const names = [
    'axis',
    'axes',
    'perm',
    'k',
    'to',
    'dtype',
    'value',
    'split',
    'num_outputs',
    'batch_dims',
    'start',
    'end',
    'keepdims',
    'fmod',
  ]
  await fc.assert(
    fc.property(
      fc.constantFrom(...FOLDED),
      fc.array(fc.option(tensor, { nil: undefined, freq: 9 }), { maxLength: 5 }),
      fc.dictionary(fc.constantFrom(...names), attribute, { maxKeys: 2 }),
      fc.integer({ min: 1, max: 3 }),
      (op, inputs, attributes, results) => {
        try {
          const made = folded(nodeOf(op, inputs, attributes, results), inputs) ?? []
          return made.every(({ type, dims, data }) => sizeOf(dims) <= FOLD_ELEMENTS && data!.length === bytesOf(type, dims))
        } catch (error) {
          if ((error as MurmurError).code !== 'model-invalid') throw error
          return true
        }
      },
    ),
    { numRuns: 5_000 },
  )
  t.pass('5000 nodes')
})
