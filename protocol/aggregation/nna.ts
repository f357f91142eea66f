// Nearest-neighbour averaging (Farhadkhani et al., MoNNA, ICML 2023): the mean of the n - f vectors nearest to the own one, itself included.
import { meanOf, nearest } from './order.ts'
import type { Reducer } from './stages.ts'

export const nna: Reducer = {
  minInputs: (f) => 2 * f + 1,
  reduce(rows, { f, own, shared }, output) {
    const weights = meanOf(nearest(rows.distancesFrom(own, shared), own, rows.count - f), rows.count)
    rows.combine(weights, output)
    return { weights }
  },
  why: (share) => (share > 0 ? 'averaged' : 'among the farthest'),
}
