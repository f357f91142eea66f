// The two kinds of stages a rule is made of.
import type { Rows, Vector } from './rows.ts'

/** Turns n rows into one vector. */
export interface Reducer {
  /** Fewest rows with which it withstands f attackers. */
  minInputs(f: number): number
  /** Writes the result into `output` and returns each row's weight in it; weights sum to 1. */
  reduce(rows: Rows, f: number, output: Vector): Float64Array
  /** Says what became of an input whose weight is `share` times an equal one. */
  why(share: number): string
}

/** Replaces every row by the mean of some rows. */
export interface PreAggregation {
  minInputs(f: number): number
  /** For each row the rows whose mean replaces it; `squared`: the n x n squared distances. */
  lists(squared: Float64Array, n: number, f: number): number[][]
  /** What to say of an input that is in no other row's list. */
  alone: string
}
