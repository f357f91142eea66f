// Nearest-neighbour mixing (Allouah et al., AISTATS 2023): each vector becomes the mean of its n - f nearest, itself included.
import type { PreAggregation } from './stages.ts'

export const nnm: PreAggregation = {
  minInputs: (f) => 2 * f + 1,
  lists(squared, n, f) {
    return Array.from({ length: n }, (_, i) => {
      const others = Array.from({ length: n }, (_, j) => j).filter((j) => j !== i)
      // The sort is stable: of two that are equally near, the one of the lower index comes first.
      others.sort((a, b) => squared[i * n + a]! - squared[i * n + b]!)
      return [i, ...others.slice(0, n - f - 1)].sort((a, b) => a - b)
    })
  },
  alone: 'not a nearest neighbour of any other',
}
