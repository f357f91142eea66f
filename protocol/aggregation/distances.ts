// Squared Euclidean distances between rows, from differences in float64: the Gram matrix is cheaper but cancels.
import type { Vector } from './matrix.ts'
import { BLOCK, forEachBlock, type Rows } from './rows.ts'

/** Sum of squared differences of the row at `a` of a block and the one at `b` of another; the width is a multiple of 4. */
function squaredDifference(block: Float64Array, a: number, other: Float64Array, b: number, width: number): number {
  // Four sums, so that additions do not wait for one another.
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  for (let c = 0; c < width; c += 4) {
    const d0 = block[a + c]! - other[b + c]!
    const d1 = block[a + c + 1]! - other[b + c + 1]!
    const d2 = block[a + c + 2]! - other[b + c + 2]!
    const d3 = block[a + c + 3]! - other[b + c + 3]!
    s0 += d0 * d0
    s1 += d1 * d1
    s2 += d2 * d2
    s3 += d3 * d3
  }
  return s0 + s1 + (s2 + s3)
}

/** Sets coordinates from `width` to `padded` of the row at `at` to zero. */
const pad = (block: Float64Array, at: number, width: number, padded: number) => block.fill(0, at + width, at + padded)

/** Blocks of the leading `shared` coordinates, the last one padded with zeros to a multiple of 4. */
function forEachPadded(rows: Rows, shared: number, use: (block: Float64Array, width: number, start: number) => void): void {
  forEachBlock(rows, shared, (block, start, width) => {
    const padded = Math.ceil(width / 4) * 4
    if (padded > width) for (let i = 0; i < rows.count; i++) pad(block, i * BLOCK, width, padded)
    use(block, padded, start)
  })
}

/** n x n matrix, row-major, of squared distances over the leading `shared` coordinates. */
export function pairwiseDistances(rows: Rows, shared: number): Float64Array {
  const n = rows.count
  const squared = new Float64Array(n * n)
  forEachPadded(rows, shared, (block, width) => {
    for (let i = 1; i < n; i++) {
      for (let j = 0; j < i; j++) squared[i * n + j]! += squaredDifference(block, i * BLOCK, block, j * BLOCK, width)
    }
  })
  for (let i = 1; i < n; i++) for (let j = 0; j < i; j++) squared[j * n + i] = squared[i * n + j]!
  return squared
}

/** Squared distances of all rows from one of them, or from a point; without a centre, from the origin. */
export function distancesFrom(rows: Rows, center: number | Vector | undefined, shared: number): Float64Array {
  const squared = new Float64Array(rows.count)
  const point = new Float64Array(BLOCK)
  forEachPadded(rows, shared, (block, width, start) => {
    const isRow = typeof center === 'number'
    if (center !== undefined && !isRow) {
      const end = Math.min(start + width, shared)
      point.set(center.subarray(start, end))
      pad(point, 0, end - start, width)
    }
    const [from, at] = isRow ? [block, center * BLOCK] : [point, 0]
    for (let i = 0; i < rows.count; i++) squared[i]! += squaredDifference(block, i * BLOCK, from, at, width)
  })
  return squared
}
