// What rules compute with: n vectors as the rows of a matrix, and the few passes that all rules are made of. `plain.ts` makes the
// passes in float64 and is the reference; `kernels/` makes them in float32 with WebAssembly.

export type Vector = Float32Array | Float64Array

/** n rows of d coordinates, all finite. `shared`: leading coordinates that a pass looks at. Everything is synchronous. */
export interface Matrix {
  /** Rows (n). */
  readonly count: number
  /** Coordinates of each row (d). */
  readonly length: number
  /** n x n squared Euclidean distances, row-major, from differences: a Gram matrix is cheaper but cancels. Symmetric, 0 on the diagonal. */
  distances(shared: number): Float64Array
  /** Squared distance of each row from a row (its index; exactly 0 from itself) or from a point of d coordinates. */
  distancesFrom(center: number | Vector, shared: number): Float64Array
  /** Squared Euclidean norm of each row. */
  norms(shared: number): Float64Array
  /** Writes the sum of weights[i] x row i into `output`; a row of weight 0 adds nothing, whatever it holds. `output` has d elements. */
  combine(weights: ArrayLike<number>, output: Vector): void
  /**
   * Writes, per coordinate, the mean without the `trim` lowest and the `trim` highest values into `output`; 0 <= trim < n / 2.
   * Returns each row's share of the places that survived, in all coordinates; shares sum to 1. Equal values share their places equally.
   */
  trimmedMean(trim: number, output: Vector): Float64Array
  /** The matrix whose row i is the sum of weights[i * n + j] x row j, for i < weights.length / n. Not materialised. */
  mixed(weights: Float64Array): Matrix
  /** The rows themselves in float64. Only the plain matrix has them: the lab's reference rules ask for them, no rule of a task does. */
  rows?(): Float64Array[]
}
