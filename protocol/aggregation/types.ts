// What every aggregation rule is: a pure function from the vectors of one round to a new model and an audit trail.
import type { Matrix, Vector } from './matrix.ts'

/** What a rule did with one input, in the order of the inputs. */
export interface InputAudit {
  /** The factor of this input in the output: 1/n each for a plain mean; averaged over coordinates for coordinate rules. */
  weight: number
  /** Euclidean distance from the own vector over the shared segment. */
  distance: number
  /** False where the input had no part in the output. */
  kept: boolean
  /** One word or phrase: 'averaged', 'trimmed', 'not a nearest neighbour of any', ... */
  why: string
  /** What the input, or its difference from the centre, was scaled by; only where a stage clips. Below 1 it was clipped. */
  clip?: number
  /** Share of coordinates in which the input, or the mix that stands in its place, was trimmed; only where a stage trims. */
  trimmed?: number
}

/** How the inputs are to be seen. */
export interface AggregateOptions {
  /** Index of the own vector. */
  own: number
  /** Attackers to withstand among the vectors attempted. */
  f: number
  /** Leading coordinates that distances see: the shared segment. Default: all. */
  shared?: number
  /** What each vector counts for, none negative, scaled to a sum of 1; only for rules that weigh their inputs. Default: all alike. */
  weights?: ArrayLike<number>
  /** Loss of each vector on a batch of the receiver's own data, which only the receiver can tell; for rules with `asksLosses`. */
  losses?: ArrayLike<number>
  /** Seeds what a rule draws (bucketing); others must not be able to foretell it. Default: always the same draw. */
  seed?: number | string
}

export interface AggregateInputs extends AggregateOptions {
  /** n vectors of equal length d, the own one included; all finite and within the task's bound. */
  vectors: readonly Vector[]
}

export interface AggregateResult {
  /** The new vector, of the element type of the inputs. */
  output: Vector
  inputs: InputAudit[]
}

/** A rule with its parameters bound. */
export interface Rule {
  /** Canonical text, e.g. `nnm | trimmed-mean`. */
  readonly text: string
  /** Fewest vectors, own included, with which the rule withstands f attackers. Guarded by `run` and `apply` as well. */
  minInputs(f: number): number
  /** Whether it looks at `losses`: without them it refuses. */
  readonly asksLosses: boolean
  /** Aggregates in float64. @throws too-few-inputs where there are fewer than minInputs(f); bad-argument */
  run(inputs: AggregateInputs): AggregateResult
  /** Aggregates with the passes of `matrix`, whose rows are finite, into `output`. @throws as `run` */
  apply(matrix: Matrix, options: AggregateOptions, output: Vector): InputAudit[]
}
