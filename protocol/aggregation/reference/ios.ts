// Iterative outlier scissor (Wu et al., IEEE TSP 2023): f times, the vector farthest from the weighted mean of those left is dropped, never
// the own one.
import { rising } from '../order.ts'
import type { Reducer } from '../stages.ts'

export const ios: Reducer = {
  minInputs: (f) => 2 * f + 1,
  weighs: true,
  reduce(rows, { f, own, shared, weights: given }, output) {
    let weights = given
    for (let dropped = 0; ; dropped++) {
      rows.combine(weights, output)
      if (dropped === f) return { weights }
      const squared = rows.distancesFrom(output, shared)
      // A row of no weight is out, or might as well be.
      const nearness = squared.map((square, i) => (i === own || weights[i] === 0 ? Number.POSITIVE_INFINITY : -square))
      const farthest = rising(nearness)[0]!
      const rest = weights.map((weight, i) => (i === farthest ? 0 : weight))
      const total = rest.reduce((sum, weight) => sum + weight, 0)
      if (farthest === own || total === 0) return { weights }
      weights = rest.map((weight) => weight / total)
    }
  },
  why: (share) => (share > 0 ? 'averaged' : 'cut off as the farthest'),
}
