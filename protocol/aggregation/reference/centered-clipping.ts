// Centred clipping (Karimireddy et al., ICML 2021): L times, the centre moves by the mean of the differences clipped to tau.
import { factorWithin } from '../clip.ts'
import type { Reducer } from '../stages.ts'

export function centeredClipping({ tau, L, start }: { tau: number; L: number; start: 'own' | 'origin' }): Reducer {
  return {
    minInputs: (f) => 2 * f + 1,
    weighs: true,
    reduce(rows, { own, shared, weights: given }, output) {
      const weights = new Float64Array(rows.count)
      let clip = weights
      if (start === 'own') weights[own] = 1
      for (let step = 0; step < L; step++) {
        rows.combine(weights, output)
        clip = rows.distancesFrom(output, shared).map((squared) => factorWithin(tau, squared))
        const pull = clip.map((factor, i) => factor * given[i]!)
        // The centre is itself a sum of rows, and keeps what the pulls leave of it.
        const stays = 1 - pull.reduce((sum, one) => sum + one, 0)
        for (const [i, one] of pull.entries()) weights[i] = stays * weights[i]! + one
      }
      rows.combine(weights, output)
      return { weights, clip }
    },
    why: (share) => (share === 0 ? 'counts for nothing' : 'averaged'),
  }
}
