// Coordinate-wise median (Yin et al., ICML 2018); of an even number, the mean of the two middle values. It is the trimmed mean that trims
// the most.
import type { Reducer } from './stages.ts'
import { reduceTrimmed } from './trimmed-mean.ts'

export const median: Reducer = {
  minInputs: (f) => 2 * f + 1,
  reduce: (rows, _round, output) => reduceTrimmed(rows, Math.floor((rows.count - 1) / 2), output),
  why: (share) => (share === 0 ? 'never in the middle' : share < 0.5 ? 'seldom in the middle' : 'often in the middle'),
}
