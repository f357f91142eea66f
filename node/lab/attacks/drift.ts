// Attackers that agree over time (Karimireddy et al., ICML 2021, "Learning from History"): each round as close to the mean as ALIE's, and always
// to the same sides of it, so that what no single round shows adds up. Any rule that forgets the past can be led away like this.
import { createPrng } from '../../../protocol/prng.ts'
import { zOf } from './alie.ts'
import type { BoundAttack } from './types.ts'
import { alike, along, deviationOf, meanOf } from './vectors.ts'

export const drift = (z: number | 'formula'): BoundAttack => ({
  forge({ honest, f }) {
    const mean = meanOf(honest)
    // Not by the round's seed: the same in all rounds.
    const prng = createPrng('drift')
    const sides = deviationOf(honest, mean).map((deviation) => (prng.int(2) === 0 ? -deviation : deviation))
    return alike(f, along(mean, sides, z === 'formula' ? zOf(honest.length + f, f) : z))
  },
})
