// Geometric median (Pillutla et al., RFA, IEEE TSP 2022): the point of least summed distance, by T steps of the smoothed Weiszfeld method
// from the origin. Vectors nearer than nu to it count alike.
import type { Reducer } from './stages.ts'

export function geometricMedian({ nu, T }: { nu: number; T: number }): Reducer {
  return {
    minInputs: (f) => 2 * f + 1,
    weighs: true,
    reduce(rows, { shared, weights }, output) {
      let factors = weights
      for (let step = 0; step < T; step++) {
        const squared = step === 0 ? rows.norms(shared) : rows.distancesFrom(output, shared)
        const pull = squared.map((square, i) => weights[i]! / Math.max(nu, Math.sqrt(square)))
        const total = pull.reduce((sum, one) => sum + one, 0)
        factors = pull.map((one) => one / total)
        rows.combine(factors, output)
      }
      return { weights: factors }
    },
    why: (share) => (share < 0.5 ? 'far: counted for less' : 'averaged'),
  }
}
