// BALANCE (Fang et al., CCS 2024): others count where they are no farther from the own model than gamma e^(-kappa progress) times its length;
// the result is alpha times the own model and 1 - alpha times their mean.
import { besideOwn, rising } from '../order.ts'
import type { Reducer } from '../stages.ts'

export interface Balance {
  gamma: number
  kappa: number
  alpha: number
  /** Rounds done of all rounds, 0 to 1. */
  progress: number
  /** What is averaged where none is near enough: the own model, or the nearest other one. */
  otherwise: 'own' | 'nearest'
}

export function balance({ gamma, kappa, alpha, progress, otherwise }: Balance): Reducer {
  return {
    minInputs: () => 1,
    reduce(rows, { own, shared }, output) {
      const squared = rows.distancesFrom(own, shared)
      const within = gamma * Math.exp(-kappa * progress) * Math.sqrt(rows.norms(shared)[own]!)
      const others = rising(squared).filter((i) => i !== own)
      const near = others.filter((i) => Math.sqrt(squared[i]!) <= within)
      const fallback = otherwise === 'nearest' && others.length > 0 ? others.slice(0, 1) : [own]
      const accepted = near.length > 0 ? near : fallback
      const weights = besideOwn(own, alpha, accepted, rows.count)
      rows.combine(weights, output)
      return { weights }
    },
    why: (share) => (share > 0 ? 'averaged' : 'too far'),
  }
}
