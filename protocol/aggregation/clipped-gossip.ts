// ClippedGossip (He et al., 2022): the own model moves towards each other one, but by no more than tau times its weight,
// w + sum of W_j min(1, tau / |x_j - w|) (x_j - w). The threshold tau is fixed, or read off the distances of the round:
// - practical: tau^2 = sum of W_j |x_j - w|^2 / delta, over the nearest whose weights, the own one's included, stay below 1 - delta. delta
//   is the most that f others can weigh. The paper sums over the honest, whom nobody knows; this is as Gaucher et al. compute it.
// - cs+ (Gaucher et al., ICML 2025): the (n - 2f)-th smallest distance, the own 0 counted, which clips the 2f farthest.
import { factorWithin } from './clip.ts'
import { nearest } from './order.ts'
import type { Reducer, Round } from './stages.ts'

export type Threshold = number | 'practical' | 'cs+'

/** Sums of weights are equal where they differ by less: rounding errors of a few dozen additions. */
const ROUNDING = 1e-12

export function clippedGossip(tau: Threshold): Reducer {
  return {
    minInputs: (f) => 2 * f + 1,
    weighs: true,
    reduce(rows, round, output) {
      const squared = rows.distancesFrom(round.own, round.shared)
      const limit = typeof tau === 'number' ? tau : tau === 'cs+' ? clipsFarthest(squared, round) : practical(squared, round)
      const clip = squared.map((square) => factorWithin(limit, square))
      const weights = clip.map((factor, i) => factor * round.weights[i]!)
      weights[round.own] = 0
      // The own model keeps what the clipped ones gave up.
      weights[round.own] = Math.max(0, 1 - weights.reduce((sum, weight) => sum + weight, 0))
      rows.combine(weights, output)
      return { weights, clip }
    },
    why: (share) => (share === 0 ? 'counts for nothing' : 'averaged'),
  }
}

function clipsFarthest(squared: Float64Array, { f }: Round): number {
  return Math.sqrt(squared.toSorted()[squared.length - 2 * f - 1]!)
}

function practical(squared: Float64Array, { f, own, weights }: Round): number {
  const others = weights.filter((_, i) => i !== own).sort()
  const delta = others.subarray(others.length - f).reduce((sum, weight) => sum + weight, 0)
  if (delta === 0) return Number.POSITIVE_INFINITY
  let [reached, sum] = [0, 0]
  for (const i of nearest(squared, own, squared.length)) {
    reached += weights[i]!
    if (reached >= 1 - delta - ROUNDING) break
    sum += weights[i]! * squared[i]!
  }
  return Math.sqrt(sum / delta)
}
