// IPM and ALIE with the factor that harms most, as in byzfl (Allouah et al., AISTATS 2023, "Fixing by Mixing", appendix).
import { type LineSearch, mostHarmful } from './line-search.ts'
import type { BoundAttack } from './types.ts'
import { alike, along, deviationOf, meanOf, scaledStep } from './vectors.ts'

export const optimalIpm = (search: LineSearch): BoundAttack => ({
  againstRule: true,
  forge(known) {
    const mean = meanOf(known.honest)
    return alike(
      known.f,
      mostHarmful('optimal-ipm', known, (tau) => scaledStep(mean, -tau, known.start), search),
    )
  },
})

export const optimalAlie = (search: LineSearch): BoundAttack => ({
  againstRule: true,
  forge(known) {
    const mean = meanOf(known.honest)
    const deviation = deviationOf(known.honest, mean)
    return alike(
      known.f,
      mostHarmful('optimal-alie', known, (z) => along(mean, deviation, z), search),
    )
  },
})
