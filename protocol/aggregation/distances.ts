// Squared Euclidean distances between rows, from differences in float64: the Gram matrix is cheaper but cancels.
import { BLOCK, forEachBlock, type Rows } from './rows.ts'

/** Sum of squared differences of rows at `a` and `b` of a block whose width is a multiple of 4. */
function squaredDifference(block: Float64Array, a: number, b: number, width: number): number {
  // Four sums, so that additions do not wait for one another.
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  for (let c = 0; c < width; c += 4) {
    const d0 = block[a + c]! - block[b + c]!
    const d1 = block[a + c + 1]! - block[b + c + 1]!
    const d2 = block[a + c + 2]! - block[b + c + 2]!
    const d3 = block[a + c + 3]! - block[b + c + 3]!
    s0 += d0 * d0
    s1 += d1 * d1
    s2 += d2 * d2
    s3 += d3 * d3
  }
  return s0 + s1 + (s2 + s3)
}

/** Blocks of the leading `shared` coordinates, the last one padded with zeros to a multiple of 4. */
function forEachPadded(rows: Rows, shared: number, use: (block: Float64Array, width: number) => void): void {
  forEachBlock(rows, shared, (block, _start, width) => {
    const padded = Math.ceil(width / 4) * 4
    if (padded > width) for (let i = 0; i < rows.count; i++) block.fill(0, i * BLOCK + width, i * BLOCK + padded)
    use(block, padded)
  })
}

/** n x n matrix, row-major, of squared distances over the leading `shared` coordinates. */
export function pairwiseDistances(rows: Rows, shared: number): Float64Array {
  const n = rows.count
  const squared = new Float64Array(n * n)
  forEachPadded(rows, shared, (block, width) => {
    for (let i = 1; i < n; i++) {
      for (let j = 0; j < i; j++) squared[i * n + j]! += squaredDifference(block, i * BLOCK, j * BLOCK, width)
    }
  })
  for (let i = 1; i < n; i++) for (let j = 0; j < i; j++) squared[j * n + i] = squared[i * n + j]!
  return squared
}

/** Squared distances of all rows from row `own` over the leading `shared` coordinates. */
export function distancesFrom(rows: Rows, own: number, shared: number): Float64Array {
  const squared = new Float64Array(rows.count)
  forEachPadded(rows, shared, (block, width) => {
    for (let i = 0; i < rows.count; i++) {
      if (i !== own) squared[i]! += squaredDifference(block, i * BLOCK, own * BLOCK, width)
    }
  })
  return squared
}
