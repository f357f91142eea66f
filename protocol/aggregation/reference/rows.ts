// What reference rules that look at single values compute with.
import { MurmurError } from '../../errors.ts'
import type { Matrix, Vector } from '../matrix.ts'
import { rising } from '../order.ts'

/** The rows in float64. @throws bad-argument where the matrix has them in no such form */
export function float64Rows(matrix: Matrix, rule: string): Float64Array[] {
  if (matrix.rows !== undefined) return matrix.rows()
  throw new MurmurError('bad-argument', `The rule "${rule}" computes in float64 only; use it in the lab.`)
}

/**
 * Writes, per coordinate, the mean of the `keep` members' values nearest to their median into `output`.
 * Returns each row's share of what was averaged; of equally near values the lower index is taken.
 */
export function meanAroundMedian(rows: readonly Float64Array[], members: readonly number[], keep: number, output: Vector): Float64Array {
  const taken = new Float64Array(rows.length)
  const column = new Float64Array(members.length)
  for (let c = 0; c < output.length; c++) {
    for (const [k, i] of members.entries()) column[k] = rows[i]![c]!
    const sorted = column.toSorted()
    const median = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
    const near = rising(column.map((x) => Math.abs(x - median))).slice(0, keep)
    output[c] = near.reduce((sum, k) => sum + column[k]!, 0) / keep
    for (const k of near) taken[members[k]!]!++
  }
  return taken.map((count) => count / (keep * output.length))
}
