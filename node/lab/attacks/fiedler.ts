// The Fiedler vector of a graph: the eigenvector of its Laplacian's second smallest eigenvalue, in which the graph falls apart most easily
// (Fiedler 1973). By inverse iteration: the Laplacian, made regular, is factored once.
import { createPrng } from '../../../protocol/prng.ts'

/** Relative to the mean degree: what makes the Laplacian of a graph in several parts regular. */
const SHIFT = 1e-9
const MAX_STEPS = 1000
/** Change of the vector at which it is taken as found. */
const SETTLED = 1e-13

/** Those found so far: each receiver of each round asks for the same graph's. */
const found = new WeakMap<ArrayLike<number>, Float64Array>()

/** @param weights row-major, symmetric, n x n, and never changed; the diagonal is not looked at @returns of length 1; in a graph of one node, zero */
export function fiedlerVector(weights: ArrayLike<number>, n: number): Float64Array {
  const before = found.get(weights)
  if (before !== undefined) return before
  const factor = cholesky(regularLaplacian(weights, n), n)
  // From a direction that no symmetry of the graph makes orthogonal to it.
  const prng = createPrng('fiedler')
  let vector = centred(Float64Array.from({ length: n }, () => prng.normal()))
  for (let step = 0; step < MAX_STEPS; step++) {
    const next = centred(solve(factor, vector, n))
    const change = Math.sqrt(next.reduce((sum, x, i) => sum + (x - vector[i]!) ** 2, 0))
    vector = next
    if (change < SETTLED) break
  }
  found.set(weights, vector)
  return vector
}

/** The Laplacian plus what moves the eigenvalue of the constant vector out of the way, and a shift. */
function regularLaplacian(weights: ArrayLike<number>, n: number): Float64Array {
  const matrix = new Float64Array(n * n)
  let total = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i === j) continue
      const weight = weights[i * n + j]!
      matrix[i * n + j] = -weight
      matrix[i * n + i]! += weight
      total += weight
    }
  }
  // Without any edge every direction is as good; the matrix needs some diagonal all the same.
  const degree = total > 0 ? total / n : 1
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) matrix[i * n + j]! += degree
    matrix[i * n + i]! += SHIFT * degree
  }
  return matrix
}

/** The lower triangle L of L L^T, in place. */
function cholesky(matrix: Float64Array, n: number): Float64Array {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j]!
      for (let k = 0; k < j; k++) sum -= matrix[i * n + k]! * matrix[j * n + k]!
      matrix[i * n + j] = i === j ? Math.sqrt(sum) : sum / matrix[j * n + j]!
    }
  }
  return matrix
}

function solve(factor: Float64Array, right: Float64Array, n: number): Float64Array {
  const x = right.slice()
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i]! -= factor[i * n + k]! * x[k]!
    x[i]! /= factor[i * n + i]!
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i]! -= factor[k * n + i]! * x[k]!
    x[i]! /= factor[i * n + i]!
  }
  return x
}

/** Orthogonal to the constant vector, and of length 1. */
function centred(vector: Float64Array): Float64Array {
  const mean = vector.reduce((sum, x) => sum + x, 0) / vector.length
  const moved = vector.map((x) => x - mean)
  const length = Math.sqrt(moved.reduce((sum, x) => sum + x * x, 0))
  return length > 0 ? moved.map((x) => x / length) : moved
}
