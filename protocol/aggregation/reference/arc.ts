// Adaptive robust clipping (Allouah et al., ICLR 2025): the floor(2 f / n (n - f)) longest vectors are scaled down to the next longest.
import { factorWithin, scaled } from '../clip.ts'
import type { PreAggregation } from '../stages.ts'

export const arc: PreAggregation = {
  minInputs: (f, after) => Math.max(2 * f + 1, after),
  weighs: true,
  mix(rows, { f, shared }) {
    const n = rows.count
    const squared = rows.norms(shared)
    const clipped = Math.floor((2 * f * (n - f)) / n)
    const most = Math.sqrt(squared.toSorted()[n - clipped - 1]!)
    return scaled(squared.map((square) => factorWithin(most, square)))
  },
}
