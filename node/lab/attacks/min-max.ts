// Min-max (Shejwalkar and Houmansadr, NDSS 2021): as far out along a direction as keeps it no farther from any honest vector than the two
// honest ones that are farthest from each other. The paper halves intervals; each bound is a quadratic, so it is solved.
import type { BoundAttack, Knowledge } from './types.ts'
import { alike, along, deviationOf, distance, meanOf } from './vectors.ts'

export const DIRECTIONS = ['std', 'unit', 'sign'] as const
export type Direction = (typeof DIRECTIONS)[number]

export const minMax = (direction: Direction): BoundAttack => ({
  forge(known) {
    const { honest, f } = known
    const mean = meanOf(honest)
    const outwards = directionOf(direction, known, mean)
    return alike(f, along(mean, outwards, farthest(honest, mean, outwards)))
  },
})

function directionOf(direction: Direction, { honest, start }: Knowledge, mean: Float64Array): Float64Array {
  if (direction === 'std') return deviationOf(honest, mean).map((deviation) => -deviation)
  const step = mean.map((x, c) => x - (start?.[c] ?? 0))
  if (direction === 'sign') return step.map((x) => -Math.sign(x))
  const length = Math.sqrt(dot(step, step))
  return step.map((x) => (length > 0 ? -x / length : 0))
}

/** The greatest factor g with |mean + g direction - x| <= the greatest honest distance, for each honest x. */
function farthest(honest: Knowledge['honest'], mean: Float64Array, direction: Float64Array): number {
  let most = 0
  for (const [i, a] of honest.entries()) for (const b of honest.slice(0, i)) most = Math.max(most, distance(a, b))
  const square = dot(direction, direction)
  if (square === 0) return 0
  const bounds = honest.map((vector) => {
    const inner = dot(
      direction,
      mean.map((x, c) => x - vector[c]!),
    )
    // The mean lies among the honest: the root is never of less than 0, but for rounding.
    return (Math.sqrt(Math.max(0, inner * inner + square * (most * most - distance(mean, vector) ** 2))) - inner) / square
  })
  return Math.max(0, Math.min(...bounds))
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, c) => sum + x * b[c]!, 0)
