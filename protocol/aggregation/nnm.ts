// Nearest-neighbour mixing (Allouah et al., AISTATS 2023): each vector becomes the mean of its n - f nearest, itself included.
import { meanOf, nearest } from './order.ts'
import type { PreAggregation } from './stages.ts'

export const nnm: PreAggregation = {
  minInputs: (f, after) => Math.max(2 * f + 1, after),
  mix(rows, { f, shared }) {
    const n = rows.count
    const squared = rows.distances(shared)
    const weights = new Float64Array(n * n)
    for (let i = 0; i < n; i++) weights.set(meanOf(nearest(squared.subarray(i * n, (i + 1) * n), i, n - f), n), i * n)
    return { weights, place: Array.from({ length: n }, (_, i) => i) }
  },
  alone: 'not a nearest neighbour of any other',
}
