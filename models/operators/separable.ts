// Linear maps that act on each axis by itself, such as averages of windows and interpolation: a product with a matrix an axis.
import { sizeOf } from '../../protocol/layout.ts'
import { floatTensor, type Tensor } from '../graph.ts'
import type { Shape } from './types.ts'

/** A matrix by rows: a row for each number of the result, a column for each of the input. */
export type Matrix = readonly (readonly number[])[]

/** What nodes are written with: a builder's own functions, or a decomposition's. */
export interface Writer {
  op(op: string, inputs: readonly string[]): string
  ints(values: readonly number[]): string
  tensor(tensor: Tensor): string
}

export const transposeOf = (matrix: Matrix): Matrix => (matrix[0] ?? []).map((_, column) => matrix.map((row) => row[column]!))

const tensorOf = (matrix: Matrix): Tensor => floatTensor(matrix.flat(), [matrix.length, matrix[0]!.length])

/** Numbers of a matrix up to which the product is worth its cost, which grows with them: 512 by 512. */
export const MATRIX_SIZE = 2 ** 18

/** `value` of shape `dims`, mapped along `axis`. */
export function mapAxis(write: Writer, value: string, dims: Shape, axis: number, matrix: Matrix): string {
  const isLast = axis === dims.length - 1
  // The last axis from the right, so that all others are rows of one product.
  const parts = isLast ? [-1, dims[axis]!] : [sizeOf(dims.slice(0, axis)), dims[axis]!, sizeOf(dims.slice(axis + 1))]
  const flat = write.op('Reshape', [value, write.ints(parts)])
  const inputs = isLast ? [flat, write.tensor(tensorOf(transposeOf(matrix)))] : [write.tensor(tensorOf(matrix)), flat]
  return write.op('Reshape', [write.op('MatMul', inputs), write.ints(dims.with(axis, matrix.length))])
}
