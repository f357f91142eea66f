// A little is enough (Baruch et al., NeurIPS 2019): so close to the honest mean that honest vectors lie farther out.
import { MurmurError } from '../../../protocol/errors.ts'
import { normalQuantile } from './normal-quantile.ts'
import type { BoundAttack } from './types.ts'
import { alike, along, deviationOf, meanOf } from './vectors.ts'

/**
 * The paper's z for n peers of which f attack: s honest ones more make a majority, and that many lie beyond z.
 * 0 or below where the attackers are too few to hide. @throws bad-argument where they are a majority without help
 */
export function zOf(n: number, f: number): number {
  const needed = Math.floor(n / 2 + 1) - f
  if (needed > 0) return normalQuantile((n - f - needed) / (n - f))
  throw new MurmurError(
    'bad-argument',
    `The attack "alie" has no z of its own for ${f} attackers among ${n} peers, as they are a majority; name one, as in alie(z=1.5).`,
  )
}

export const alie = (z: number | 'formula'): BoundAttack => ({
  forge({ honest, f }) {
    const mean = meanOf(honest)
    return alike(f, along(mean, deviationOf(honest, mean), z === 'formula' ? zOf(honest.length + f, f) : z))
  },
})
