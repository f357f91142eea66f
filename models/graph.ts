// A graph as plain data: what the compilers of this folder read and write, free of protobuf's shapes.
import { MurmurError } from '../protocol/errors.ts'
import { sizeOf } from '../protocol/layout.ts'

/** TensorProto.DataType, the ones used here. */
export const TYPE = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float64: 11, uint64: 13 } as const
export type TensorType = (typeof TYPE)[keyof typeof TYPE]

const BYTES: Record<TensorType, number> = { 1: 4, 2: 1, 6: 4, 7: 8, 9: 1, 11: 8, 13: 8 }

export const isTensorType = (type: number): type is TensorType => Object.hasOwn(BYTES, type)

export const bytesOf = (type: TensorType, dims: readonly number[]): number => sizeOf(dims) * BYTES[type]

export interface Tensor {
  type: TensorType
  dims: readonly number[]
  /** Little-endian, row-major; undefined in a hollow graph, where the flat parameter vector holds the values. */
  data: Uint8Array | undefined
}

export type Attribute =
  | { int: number }
  | { float: number }
  | { string: string }
  | { ints: readonly number[] }
  | { floats: readonly number[] }
  | { strings: readonly string[] }
  | { tensor: Tensor }
  | { graph: Graph }

export interface Node {
  op: string
  /** For messages only; may be empty. */
  name: string
  /** An empty string is an optional input that was left out. */
  inputs: readonly string[]
  outputs: readonly string[]
  attributes: Readonly<Record<string, Attribute>>
}

/** A dimension is a number, or a name where it is only known when the graph runs. */
export interface ValueInfo {
  name: string
  type: TensorType
  dims: readonly (number | string)[]
}

/** Nodes in an order in which each one's inputs come before it. */
export interface Graph {
  name: string
  inputs: readonly ValueInfo[]
  outputs: readonly ValueInfo[]
  nodes: readonly Node[]
  constants: ReadonlyMap<string, Tensor>
}

export const invalid = (message: string, cause?: unknown): MurmurError => new MurmurError('model-invalid', message, { cause })

/**
 * What `apply` makes of a node by rules that expect what the operator's specification demands: what a node lacks of it they trip over.
 * @throws model-invalid
 */
export function byRules<T>(node: Node, apply: () => T): T {
  try {
    return apply()
  } catch (error) {
    if (error instanceof MurmurError) throw error
    throw invalid(
      `${describeNode(node)} lacks an input or attribute that it needs, or has one of the wrong kind; export the model again.`,
      error,
    )
  }
}

export const describeNode = (node: Pick<Node, 'op' | 'name'>): string => (node.name === '' ? node.op : `${node.op} "${node.name}"`)

const bytes = (array: Float32Array | BigInt64Array | Int32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

export const floatTensor = (values: readonly number[] | Float32Array, dims: readonly number[]): Tensor => ({
  type: TYPE.float32,
  dims,
  data: bytes(Float32Array.from(values)),
})

const INT64_MAX = 2n ** 63n - 1n

/** INT64_MAX, Slice's "to the end", is 2^63 as a number and would wrap around. */
export const toInt64 = (value: number): bigint => (value >= 2 ** 63 ? INT64_MAX : BigInt(value))

export const intTensor = (values: readonly number[], dims: readonly number[] = [values.length]): Tensor => ({
  type: TYPE.int64,
  dims,
  data: bytes(BigInt64Array.from(values, toInt64)),
})

export const doubleTensor = (values: readonly number[], dims: readonly number[]): Tensor => ({
  type: TYPE.float64,
  dims,
  data: new Uint8Array(Float64Array.from(values).buffer),
})

export const int64Tensor = (values: BigInt64Array, dims: readonly number[]): Tensor => ({ type: TYPE.int64, dims, data: bytes(values) })

/** The values of an int32, int64 or bool tensor. */
export function intsOf(tensor: Tensor): number[] {
  const copy = (tensor.data ?? new Uint8Array()).slice().buffer
  if (tensor.type === TYPE.int64) return Array.from(new BigInt64Array(copy), Number)
  if (tensor.type === TYPE.int32) return Array.from(new Int32Array(copy))
  return Array.from(new Uint8Array(copy))
}

export const floatsOf = (tensor: Tensor): Float32Array => new Float32Array((tensor.data ?? new Uint8Array()).slice().buffer)

export function intAttribute(node: Node, name: string, fallback: number): number {
  const value = node.attributes[name]
  if (value === undefined) return fallback
  if ('int' in value) return value.int
  throw invalid(`Attribute ${name} of ${describeNode(node)} is not an integer.`)
}

export function floatAttribute(node: Node, name: string, fallback: number): number {
  const value = node.attributes[name]
  if (value === undefined) return fallback
  if ('float' in value) return value.float
  throw invalid(`Attribute ${name} of ${describeNode(node)} is not a number.`)
}

export function stringAttribute(node: Node, name: string, fallback: string): string {
  const value = node.attributes[name]
  if (value === undefined) return fallback
  if ('string' in value) return value.string
  throw invalid(`Attribute ${name} of ${describeNode(node)} is not a string.`)
}

export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const value = node.attributes[name]
  if (value === undefined) return undefined
  if ('ints' in value) return value.ints
  throw invalid(`Attribute ${name} of ${describeNode(node)} is not a list of integers.`)
}
