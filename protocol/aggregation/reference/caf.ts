// Covariance-bound agnostic filter (Allouah et al., ICML 2025): again and again, vectors lose weight for lying far along the direction of
// most variance, until n - 2f weight is left; the weighted mean at which that variance was least is the result.
import { createPrng } from '../../prng.ts'
import type { Reducer } from '../stages.ts'
import { float64Rows } from './rows.ts'

/** Share of the weight that a step takes at least, so that few steps suffice. */
const LEAST_FALL = 1e-3

/** Where the power method starts, anew in each step. */
type Start = (length: number) => Float64Array

/** @param power steps of the power method, which finds the direction; the more, the less its random start shows */
export function caf({ power, start }: { power: number; start?: Start }): Reducer {
  return {
    minInputs: (f) => 2 * f + 1,
    reduce(matrix, { f, seed }, output) {
      const prng = createPrng(`${seed} caf`)
      const normal: Start = (length) => Float64Array.from({ length }, () => prng.normal())
      const weights = filter(float64Rows(matrix, 'caf'), f, power, start ?? normal)
      matrix.combine(weights, output)
      return { weights }
    },
    why: (share) => (share === 0 ? 'filtered out' : share < 0.5 ? 'mostly filtered out' : 'averaged'),
  }
}

function filter(rows: readonly Float64Array[], f: number, power: number, start: Start): Float64Array {
  const n = rows.length
  const d = rows[0]!.length
  let counts: Float64Array = new Float64Array(n).fill(1)
  let left = n
  let best = counts.map((count) => count / n)
  let least = Number.POSITIVE_INFINITY
  while (left > n - 2 * f) {
    const shares = counts.map((count) => count / left)
    const center = sum(rows, shares, d)
    const differences = rows.map((row) => row.map((x, c) => x - center[c]!))
    let direction = unit(start(d)).vector
    let variance = 0
    for (let step = 0; step < power; step++) {
      const spread = differences.map((difference, i) => shares[i]! * dot(difference, direction))
      ;({ vector: direction, length: variance } = unit(sum(differences, spread, d)))
    }
    if (variance < least) [least, best] = [variance, shares]
    const far = differences.map((difference) => dot(difference, direction) ** 2)
    let fewer = lighter(counts, far, Math.max(...far))
    // A vector that is out already may lie so far away that the others lose next to nothing: then they are measured among themselves.
    if (total(fewer) > left * (1 - LEAST_FALL)) fewer = lighter(counts, far, Math.max(...far.filter((_, i) => counts[i]! > 0)))
    const rest = total(fewer)
    if (rest === left) break
    ;[counts, left] = [fewer, rest]
  }
  return best
}

/** Each loses weight by how far it is in relation to the farthest. */
const lighter = (counts: Float64Array, far: readonly number[], farthest: number): Float64Array =>
  farthest === 0 ? counts : counts.map((count, i) => count * Math.max(0, 1 - far[i]! / farthest))

const total = (counts: Float64Array): number => counts.reduce((sum, count) => sum + count, 0)

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, c) => sum + x * b[c]!, 0)

function sum(rows: readonly Float64Array[], factors: ArrayLike<number>, d: number): Float64Array {
  const out = new Float64Array(d)
  for (const [i, row] of rows.entries()) for (let c = 0; c < d; c++) out[c]! += factors[i]! * row[c]!
  return out
}

function unit(vector: Float64Array): { vector: Float64Array; length: number } {
  const length = Math.sqrt(dot(vector, vector))
  return { vector: length > 0 ? vector.map((x) => x / length) : vector, length }
}
