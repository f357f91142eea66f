// The two kinds of stages a rule is made of.
import type { Matrix, Vector } from './matrix.ts'

/** What is known of a round besides its rows. */
export interface Round {
  f: number
  /** Index of the row that is the own vector, or that it is mixed into. */
  own: number
  /** Leading coordinates that distances see. */
  shared: number
  /** What each row counts for; they sum to 1. All alike unless every stage so far weighs. */
  weights: Float64Array
  seed: number | string
  /** Loss of each row on the own data, where a reducer asks for it. */
  losses?: ArrayLike<number>
}

/** Turns n rows into one vector. */
export interface Reducer {
  /** Fewest rows with which it withstands f attackers. */
  minInputs(f: number): number
  /** It heeds `round.weights`. Others refuse weights: silently ignoring them would mislead. */
  weighs?: true
  /** It heeds `round.losses`. They are known of the vectors as they came, so that no stage may come before it. */
  asksLosses?: true
  /** Writes the result into `output`. */
  reduce(rows: Matrix, round: Round, output: Vector): Reduced
  /** Says what became of an input whose weight is `share` times an equal one. */
  why(share: number): string
}

export interface Reduced {
  /** Factor of each row in the output. */
  weights: Float64Array
  /** What each row was scaled by; 1 where it was not. */
  clip?: Float64Array
  /** Share of coordinates in which each row was trimmed. */
  trimmed?: Float64Array
}

/** Turns n rows into others, each a weighted sum of them. */
export interface PreAggregation {
  /** Fewest rows with which it withstands f attackers and leaves `after` rows to what follows. */
  minInputs(f: number, after: number): number
  weighs?: true
  mix(rows: Matrix, round: Round): Mix
  /** What to say of an input that is in no row but the one in its place. */
  alone?: string
}

export interface Mix {
  /** m x n, row-major: the new row i is the sum of weights[i * n + j] x row j. */
  weights: Float64Array
  /** For each old row the new one in its place. */
  place: readonly number[]
  /** What each old row was scaled by. */
  clip?: Float64Array
}
