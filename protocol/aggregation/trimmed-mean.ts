// Coordinate-wise trimmed mean (Yin et al., ICML 2018): per coordinate, without the f lowest and the f highest values.
import type { Matrix, Vector } from './matrix.ts'
import type { Reduced, Reducer } from './stages.ts'

export const trimmedMean: Reducer = {
  minInputs: (f) => 2 * f + 1,
  reduce: (rows, { f }, output) => reduceTrimmed(rows, f, output),
  why: (share) => (share === 0 ? 'trimmed' : share < 0.5 ? 'mostly trimmed' : 'averaged'),
}

export function reduceTrimmed(rows: Matrix, trim: number, output: Vector): Reduced {
  const weights = rows.trimmedMean(trim, output)
  const kept = rows.count - 2 * trim
  // A share of all surviving places; each coordinate has `kept` of them, of which a row takes one or less.
  return { weights, trimmed: weights.map((share) => Math.min(1, Math.max(0, 1 - share * kept))) }
}
