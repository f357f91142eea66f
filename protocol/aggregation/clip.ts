// Norm clipping: a vector longer than c is scaled down to length c. The length is measured from the origin, over the shared segment.
import type { PreAggregation } from './stages.ts'

export function clip(c: number): PreAggregation {
  return {
    minInputs: (_f, after) => after,
    weighs: true,
    mix: (rows, { shared }) => scaled(rows.norms(shared).map((squared) => factorWithin(c, squared))),
  }
}

/** What a vector of this squared length is scaled by to be no longer than `most`. */
export const factorWithin = (most: number, squared: number): number => (squared > most * most ? most / Math.sqrt(squared) : 1)

/** Each row scaled by its factor. */
export function scaled(factors: Float64Array) {
  const n = factors.length
  const weights = new Float64Array(n * n)
  for (let i = 0; i < n; i++) weights[i * n + i] = factors[i]!
  return { weights, place: Array.from({ length: n }, (_, i) => i), clip: factors }
}
