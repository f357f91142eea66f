// The values of constant tensors. Integers are read as bigints, so that int64 is exact and wraps around as in onnxruntime;
// values that only move are copied as bytes.
import { sizeOf } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { bytesOf, describeNode, invalid, type Node, type Tensor, type TensorType, TYPE } from '../graph.ts'
import type { Shape } from '../operators/types.ts'

/** Elements that a folded node may read or make: shapes and masks fit, while time and memory stay small whatever the model says. */
export const FOLD_ELEMENTS = 65_536

export interface FoldContext {
  readonly node: Node
  /** Shapes of the inputs. */
  readonly shapes: readonly Shape[]
  /** @throws model-invalid if it was left out */
  input(index: number): Tensor
  optional(index: number): Tensor | undefined
}

/** The node's results; undefined where they cannot be told, or would be too large. @throws model-invalid */
export type Fold = (context: FoldContext) => Tensor | Tensor[] | undefined

export type Folds = Readonly<Record<string, Fold>>

/** A float as number, an integer as bigint, a bool as 0n or 1n. */
export type Value = number | bigint

export const fits = (dims: Shape): boolean => dims.length <= LIMITS.tensorRank && sizeOf(dims) <= FOLD_ELEMENTS

/** A node that is not as ONNX says; `problem` follows its name. */
export const malformed = (node: Node, problem: string): Error => invalid(`${describeNode(node)} ${problem}; export the model again.`)

const ARRAY = {
  [TYPE.float32]: Float32Array,
  [TYPE.float64]: Float64Array,
  [TYPE.int64]: BigInt64Array,
  [TYPE.uint64]: BigUint64Array,
  [TYPE.int32]: Int32Array,
  [TYPE.uint8]: Uint8Array,
  [TYPE.bool]: Uint8Array,
} as const

const RANGES: Readonly<Record<number, readonly [bigint, bigint]>> = {
  [TYPE.int64]: [-(2n ** 63n), 2n ** 63n - 1n],
  [TYPE.uint64]: [0n, 2n ** 64n - 1n],
  [TYPE.int32]: [-(2n ** 31n), 2n ** 31n - 1n],
  [TYPE.uint8]: [0n, 255n],
}

export const isFloat = (type: TensorType): boolean => type === TYPE.float32 || type === TYPE.float64
export const isInteger = (type: TensorType): boolean => Object.hasOwn(RANGES, type)

/** A float without its fraction; undefined where `type` cannot hold it: C++ leaves open what comes of that. */
export function toInteger(type: TensorType, value: number): bigint | undefined {
  const range = RANGES[type]
  if (range === undefined || !Number.isFinite(value)) return undefined
  const whole = BigInt(Math.trunc(value))
  return whole >= range[0] && whole <= range[1] ? whole : undefined
}

/** A tensor of no elements may come without data. */
export const withData = (tensor: Tensor): Tensor => ({ ...tensor, data: tensor.data ?? new Uint8Array() })

export function valuesOf({ type, data = new Uint8Array() }: Tensor): ArrayLike<Value> {
  if (type === TYPE.bool) return Array.from(data, (value) => (value ? 1n : 0n))
  // A copy, since a model's data may start at any byte.
  const array = new ARRAY[type](data.slice().buffer)
  return array instanceof Int32Array || array instanceof Uint8Array ? Array.from(array, BigInt) : array
}

/** Integers wrap around where `type` is too narrow. */
export function tensorOf(type: TensorType, dims: Shape, value: (position: number) => Value): Tensor {
  const array = new ARRAY[type](sizeOf(dims))
  for (let i = 0; i < array.length; i++) {
    const v = value(i)
    if (array instanceof BigInt64Array || array instanceof BigUint64Array) array[i] = BigInt(v)
    else array[i] = Number(typeof v === 'bigint' && !isFloat(type) ? BigInt.asIntN(32, v) : v)
  }
  return { type, dims, data: new Uint8Array(array.buffer) }
}

/** An integer input as numbers; INT64_MAX comes as 2^63. @throws model-invalid if it is of another type */
export function integers({ node, input }: FoldContext, index: number): number[] {
  const tensor = input(index)
  if (tensor.type !== TYPE.int64 && tensor.type !== TYPE.int32) throw malformed(node, `takes input ${index} of another type than integers`)
  return Array.from(valuesOf(tensor), Number)
}

export function integer(context: FoldContext, index: number): number {
  const [value, ...more] = integers(context, index)
  if (value === undefined || more.length > 0) throw malformed(context.node, `takes a list as input ${index}, which is one number`)
  return value
}

/** `axis` counted from the front. @throws model-invalid */
export function axisOf(node: Node, axis: number, rank: number): number {
  const front = axis < 0 ? axis + rank : axis
  if (!(front >= 0 && front < rank)) throw malformed(node, `uses axis ${axis} of ${rank}`)
  return front
}

export function axesOf(node: Node, axes: readonly number[], rank: number): number[] {
  const front = axes.map((axis) => axisOf(node, axis, rank))
  if (new Set(front).size < front.length) throw malformed(node, `names an axis twice in [${axes.join(', ')}]`)
  return front
}

/** `dims` with another number at `axis`. */
export const withDim = (dims: Shape, axis: number, dim: number): number[] => dims.map((old, i) => (i === axis ? dim : old))

/** Elements from one index of an axis to the next, axis by axis. */
export function stridesOf(dims: Shape): number[] {
  const strides = dims.map(() => 1)
  for (let axis = dims.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * dims[axis + 1]!
  return strides
}

/** For every position of `dims`, in order: the position where `strides`, counted from `offset`, put it. */
export function walk(dims: Shape, strides: readonly number[], offset = 0): Int32Array {
  const positions = new Int32Array(sizeOf(dims))
  const index = dims.map(() => 0)
  let at = offset
  for (let i = 0; i < positions.length; i++) {
    positions[i] = at
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += strides[axis]!
      index[axis]!++
      if (index[axis]! < dims[axis]!) break
      at -= strides[axis]! * dims[axis]!
      index[axis] = 0
    }
  }
  return positions
}

/** `from`'s position for every position of `to`, which it broadcasts to. */
export function spread(from: Shape, to: Shape): Int32Array {
  const lead = to.length - from.length
  const strides = stridesOf(from)
  return walk(
    to,
    to.map((_, axis) => (axis < lead || from[axis - lead] === 1 ? 0 : strides[axis - lead]!)),
  )
}

/** Writes `source`'s elements, in order, to `target` at `positions`. */
export function put(target: Tensor, source: Tensor, positions: Int32Array): void {
  copy(target, positions, source, positions.keys())
}

/** A tensor of `source`'s elements at `positions`. */
export function take(source: Tensor, dims: Shape, positions: Int32Array): Tensor {
  const target = blank(source.type, dims)
  copy(target, positions.keys(), source, positions)
  return target
}

function copy(target: Tensor, to: Iterable<number>, source: Tensor, from: Iterable<number>): void {
  const width = bytesOf(source.type, [])
  const sources = from[Symbol.iterator]()
  for (const position of to) {
    const start = sources.next().value * width
    for (let i = 0; i < width; i++) target.data![position * width + i] = source.data![start + i]!
  }
}

/** Zeros. */
export const blank = (type: TensorType, dims: Shape): Tensor & { data: Uint8Array } => ({
  type,
  dims,
  data: new Uint8Array(bytesOf(type, dims)),
})
