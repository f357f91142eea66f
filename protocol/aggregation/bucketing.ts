// Bucketing (Karimireddy et al., ICLR 2022): shuffled, the vectors are averaged s at a time; f attackers spoil at most f buckets.
import { createPrng } from '../prng.ts'
import type { Mix, PreAggregation } from './stages.ts'

export function bucketing(s: number): PreAggregation {
  return {
    minInputs: (_f, after) => (after - 1) * s + 1,
    mix: (rows, { seed }) => {
      const order = createPrng(`${seed} buckets`).shuffle(Array.from({ length: rows.count }, (_, i) => i))
      return buckets(order, s)
    },
  }
}

/** The means of s rows at a time in the given order; the last bucket may hold fewer. */
export function buckets(order: readonly number[], s: number): Mix {
  const n = order.length
  const weights = new Float64Array(Math.ceil(n / s) * n)
  const place = new Array<number>(n)
  for (const [at, row] of order.entries()) {
    const bucket = Math.floor(at / s)
    place[row] = bucket
    weights[bucket * n + row] = 1 / Math.min(s, n - bucket * s)
  }
  return { weights, place }
}
