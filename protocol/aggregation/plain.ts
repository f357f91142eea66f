// The matrix in plain float64: exact, and the reference for any other. Rows are read block by block, so mixes cost no memory.
import { distancesFrom, pairwiseDistances } from './distances.ts'
import type { Matrix, Vector } from './matrix.ts'
import { alike } from './order.ts'
import { BLOCK, forEachBlock, mixedRows, type Rows, rowsOf, sumInto, terms } from './rows.ts'
import { trimmedPass } from './trimming.ts'

/** @param vectors of equal length; they are read, never changed */
export const plainMatrix = (vectors: readonly Vector[]): Matrix => matrixOf(rowsOf(vectors))

function matrixOf(rows: Rows): Matrix {
  const { count, length } = rows

  function combine(weights: ArrayLike<number>, output: Vector): void {
    const sum = new Float64Array(BLOCK)
    const parts = terms(weights)
    forEachBlock(rows, length, (block, start, width) => {
      sumInto(sum, 0, block, parts, width)
      output.set(sum.subarray(0, width), start)
    })
  }

  return {
    count,
    length,
    distances: (shared) => pairwiseDistances(rows, shared),
    distancesFrom: (center, shared) => distancesFrom(rows, center, shared),
    norms: (shared) => distancesFrom(rows, undefined, shared),
    combine,
    trimmedMean(trim, output) {
      if (trim > 0 && length > 0) return trimmedPass(rows, trim, output)
      const weights = alike(count)
      combine(weights, output)
      return weights
    },
    mixed: (weights) => matrixOf(mixedRows(rows, weights)),
    rows() {
      const out = Array.from({ length: count }, () => new Float64Array(length))
      forEachBlock(rows, length, (block, start, width) => {
        for (const [i, row] of out.entries()) row.set(block.subarray(i * BLOCK, i * BLOCK + width), start)
      })
      return out
    },
  }
}
