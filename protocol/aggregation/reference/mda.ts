// Minimum-diameter averaging (Rousseeuw 1985; El Mhamdi et al., 2020): the mean of the n - f vectors whose two farthest are nearest.
import { MurmurError } from '../../errors.ts'
import { meanOf } from '../order.ts'
import type { Reducer } from '../stages.ts'

/** Subsets that are searched at most: seconds of work. */
const MAX_SUBSETS = 1e7

export const mda: Reducer = {
  minInputs: (f) => 2 * f + 1,
  reduce(rows, { f, shared }, output) {
    const n = rows.count
    let subsets = 1
    for (let k = 0; k < f; k++) subsets = (subsets * (n - k)) / (k + 1)
    if (subsets > MAX_SUBSETS) {
      throw new MurmurError(
        'bad-argument',
        `The rule "mda" would search ${subsets.toPrecision(3)} subsets for n = ${n} and f = ${f}; at most ${MAX_SUBSETS} are searched: lower n or f.`,
      )
    }
    const weights = meanOf(tightest(rows.distances(shared), n, n - f), n)
    rows.combine(weights, output)
    return { weights }
  },
  why: (share) => (share > 0 ? 'averaged' : 'outside the tightest group'),
}

/** The first subset, in lexicographic order, of least diameter. */
function tightest(squared: Float64Array, n: number, size: number): number[] {
  let best: number[] = []
  let least = Number.POSITIVE_INFINITY
  const chosen: number[] = []
  function extend(from: number, diameter: number): void {
    if (chosen.length === size) {
      best = [...chosen]
      least = diameter
      return
    }
    for (let i = from; i <= n - (size - chosen.length); i++) {
      const wider = chosen.reduce((most, j) => Math.max(most, squared[i * n + j]!), diameter)
      // It only grows from here.
      if (wider >= least) continue
      chosen.push(i)
      extend(i + 1, wider)
      chosen.pop()
    }
  }
  extend(0, 0)
  return best
}
