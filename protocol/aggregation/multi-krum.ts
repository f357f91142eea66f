// Krum and multi-Krum (Blanchard et al., NeurIPS 2017): the mean of the m vectors of least score, which is the sum of the squared distances
// to the nearest others. n - f vectors are averaged unless said otherwise, and n - f - 2 neighbours counted; with m = 1 it is Krum.
import { MurmurError } from '../errors.ts'
import { meanOf, rising } from './order.ts'
import type { Reducer } from './stages.ts'

/** A number, or one that depends on the round. */
export type Count = number | 'n-f' | 'n-f-1' | 'n-f-2'

const countOf = (count: Count, n: number, f: number): number => (typeof count === 'number' ? count : n - f - Number(count.slice(4) || 0))

export function multiKrum({ m, neighbours }: { m: Count; neighbours: Count }): Reducer {
  return {
    // A fixed number must not reach into the f that may be attackers.
    minInputs: (f) => Math.max(2 * f + 3, typeof m === 'number' ? m + f : 0, typeof neighbours === 'number' ? neighbours + f + 1 : 0),
    reduce(rows, { f, shared }, output) {
      const n = rows.count
      const counted = countOf(neighbours, n, f)
      if (counted < f) {
        // As many identical forgeries have no distance between them, and win.
        throw new MurmurError(
          'bad-argument',
          `Krum that counts ${counted} neighbours cannot withstand ${f} attackers; count at least ${f}.`,
        )
      }
      const scores = krumScores(rows.distances(shared), n, counted)
      const weights = meanOf(rising(scores).slice(0, countOf(m, n, f)), n)
      rows.combine(weights, output)
      return { weights }
    },
    why: (share) => (share > 0 ? 'averaged' : 'far from its nearest others: not selected'),
  }
}

/** Each row's sum of its least `neighbours` squared distances to others. */
export function krumScores(squared: Float64Array, n: number, neighbours: number): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => {
    const others = squared.slice(i * n, (i + 1) * n).filter((_, j) => j !== i)
    return others
      .sort()
      .subarray(0, neighbours)
      .reduce((sum, square) => sum + square, 0)
  })
}
