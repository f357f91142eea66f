// UBAR (Guo et al., IEEE TCSVT 2022), two stages: of the others, the n - f - 1 (or a share rho of them) nearest to the own vector; and of
// those, the ones that do no worse on a batch of the own data, or where there are none, the best of them. The result is alpha times the own
// vector and 1 - alpha times their mean.
import { besideOwn, rising } from '../order.ts'
import type { Reducer } from '../stages.ts'

export interface Ubar {
  rho: number | 'n-f'
  alpha: number
}

export function ubar({ rho, alpha }: Ubar): Reducer {
  return {
    minInputs: (f) => f + 1,
    asksLosses: true,
    reduce(rows, { f, own, shared, losses }, output) {
      const others = rising(rows.distancesFrom(own, shared)).filter((i) => i !== own)
      const near = others.slice(0, rho === 'n-f' ? rows.count - f - 1 : Math.ceil(rho * others.length))
      // Not one that is not a number.
      const loss = (i: number) => (losses![i]! >= Number.NEGATIVE_INFINITY ? losses![i]! : Number.POSITIVE_INFINITY)
      const better = near.filter((i) => loss(i) <= loss(own))
      const best = near[rising(near.map(loss))[0]!] ?? own
      const accepted = better.length > 0 ? better : [best]
      const weights = besideOwn(own, alpha, accepted, rows.count)
      rows.combine(weights, output)
      return { weights }
    },
    why: (share) => (share > 0 ? 'averaged' : 'too far, or worse on the own data'),
  }
}
