// Noise of the given mean and deviation, on top of the start of the round: each attacker's own.
import { createPrng } from '../../../protocol/prng.ts'
import type { BoundAttack } from './types.ts'

export const gaussian = (sigma: number, mu: number): BoundAttack => ({
  forge: ({ honest, f, start, seed }) =>
    Array.from({ length: f }, (_, k) => {
      const prng = createPrng(`${seed} gaussian ${k}`)
      return Float64Array.from(honest[0]!, (_, c) => (start?.[c] ?? 0) + mu + sigma * prng.normal())
    }),
})
