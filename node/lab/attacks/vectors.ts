// Arithmetic on vectors that the attacks share, in float64.
import type { Vector } from '../../../protocol/aggregation/matrix.ts'

export function meanOf(vectors: readonly Vector[]): Float64Array {
  const mean = new Float64Array(vectors[0]!.length)
  for (const vector of vectors) for (let c = 0; c < mean.length; c++) mean[c]! += vector[c]!
  return mean.map((sum) => sum / vectors.length)
}

/** Standard deviation of each coordinate, with n - 1 below; 0 where there is one vector alone. */
export function deviationOf(vectors: readonly Vector[], mean: Float64Array): Float64Array {
  const squares = new Float64Array(mean.length)
  for (const vector of vectors) for (let c = 0; c < squares.length; c++) squares[c]! += (vector[c]! - mean[c]!) ** 2
  return squares.map((sum) => Math.sqrt(sum / Math.max(1, vectors.length - 1)))
}

/** `from` plus `factor` times `direction`. */
export const along = (from: Float64Array, direction: Float64Array, factor: number): Float64Array =>
  from.map((x, c) => x + factor * direction[c]!)

/** The start plus `factor` times the step from there to `end`; without a start, `factor` times `end`. */
export function scaledStep(end: Vector, factor: number, start?: Vector): Float64Array {
  const scaled = new Float64Array(end.length)
  for (let c = 0; c < scaled.length; c++) {
    const from = start?.[c] ?? 0
    scaled[c] = from + factor * (end[c]! - from)
  }
  return scaled
}

export function distance(a: Vector, b: Vector): number {
  let squared = 0
  for (let c = 0; c < a.length; c++) squared += (a[c]! - b[c]!) ** 2
  return Math.sqrt(squared)
}

/** All attackers send the same. */
export const alike = (f: number, vector: Float64Array): Float64Array[] => new Array<Float64Array>(f).fill(vector)
