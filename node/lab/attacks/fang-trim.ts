// Fang's attack on trimmed mean, with full knowledge (Fang et al., USENIX Security 2020): against the direction in which a coordinate moves,
// just beyond the last honest value. As in the published code, from the direction of the steps' sum, each value times or divided by r in [1, b).
import { createPrng } from '../../../protocol/prng.ts'
import type { BoundAttack } from './types.ts'
import { meanOf } from './vectors.ts'

/** @param r 'drawn': anew for each coordinate and attacker */
export const fangTrim = (b: number, r: number | 'drawn'): BoundAttack => ({
  forge({ honest, f, start, seed }) {
    const prng = createPrng(`${seed} fang-trim`)
    const mean = meanOf(honest)
    const bounds = mean.map((x, c) => {
      const from = start?.[c] ?? 0
      const direction = Math.sign(x - from)
      if (direction === 0) return 0
      let last = honest[0]![c]!
      for (const vector of honest) last = direction > 0 ? Math.min(last, vector[c]!) : Math.max(last, vector[c]!)
      return last - from
    })
    return Array.from({ length: f }, () =>
      bounds.map((bound, c) => {
        const from = start?.[c] ?? 0
        const ratio = r === 'drawn' ? 1 + (b - 1) * prng.next() : r
        // A bound on the side where the honest go is passed towards the start, one on the other side away from it.
        return from + (bound * (mean[c]! - from) > 0 ? bound / ratio : bound * ratio)
      }),
    )
  },
})
