// Mean around the median (Xie et al., 2018): per coordinate, the mean of the n - f values nearest to the median.
import type { Reducer } from '../stages.ts'
import { float64Rows, meanAroundMedian } from './rows.ts'

export const meamed: Reducer = {
  minInputs: (f) => 2 * f + 1,
  reduce(matrix, { f }, output) {
    const rows = float64Rows(matrix, 'meamed')
    return { weights: meanAroundMedian(rows, [...rows.keys()], rows.length - f, output) }
  },
  why: (share) => (share === 0 ? 'trimmed' : share < 0.5 ? 'mostly trimmed' : 'averaged'),
}
