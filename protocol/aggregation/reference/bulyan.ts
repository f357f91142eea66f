// Bulyan (El Mhamdi et al., ICML 2018): Krum selects n - 2f vectors one after the other, each among those that are left; then, per
// coordinate, the mean of the n - 4f selected values nearest to their median.
import { krumScores } from '../multi-krum.ts'
import { rising } from '../order.ts'
import type { Reducer } from '../stages.ts'
import { float64Rows, meanAroundMedian } from './rows.ts'

export const bulyan: Reducer = {
  minInputs: (f) => 4 * f + 3,
  reduce(matrix, { f, shared }, output) {
    const rows = float64Rows(matrix, 'bulyan')
    const n = rows.length
    const selected = select(matrix.distances(shared), n, f)
    return { weights: meanAroundMedian(rows, selected, n - 4 * f, output) }
  },
  why: (share) => (share === 0 ? 'not selected or trimmed' : share < 0.5 ? 'mostly trimmed' : 'averaged'),
}

function select(squared: Float64Array, n: number, f: number): number[] {
  const left = Array.from({ length: n }, (_, i) => i)
  const selected: number[] = []
  while (selected.length < n - 2 * f) {
    const among = Float64Array.from(left.flatMap((i) => left.map((j) => squared[i * n + j]!)))
    const scores = krumScores(among, left.length, Math.max(1, left.length - f - 2))
    selected.push(...left.splice(rising(scores)[0]!, 1))
  }
  return selected.sort((a, b) => a - b)
}
