// What every aggregation rule is: a pure function from the vectors of one round to a new model and an audit trail.

/** What a rule did with one input, in the order of the inputs. */
export interface InputAudit {
  /** Share of this input in the output: 1/n each for a plain mean; averaged over coordinates for coordinate rules. */
  weight: number
  /** Euclidean distance from the own vector over the shared segment. */
  distance: number
  /** False where the input had no part in the output. */
  kept: boolean
  /** One word or phrase: 'averaged', 'trimmed', 'not a nearest neighbour of any', ... */
  why: string
}

export interface AggregateInputs {
  /** n vectors of equal length d, the own one included; all finite and within the task's bound (checked before). */
  vectors: readonly (Float32Array | Float64Array)[]
  /** Index of the own vector in `vectors`. */
  own: number
  /** Attackers to withstand among the vectors attempted. */
  f: number
  /** Leading coordinates that distances see: the shared segment. Default: all. */
  shared?: number
}

export interface AggregateResult {
  /** The new vector, of the element type of the inputs. */
  output: Float32Array | Float64Array
  inputs: InputAudit[]
}

/** A rule with its parameters bound. */
export interface Rule {
  /** Canonical text, e.g. `nnm | trimmed-mean`. */
  readonly text: string
  /** Fewest vectors, own included, with which the rule withstands f attackers. Guarded by `run` as well. */
  minInputs(f: number): number
  /** @throws MurmurError('too-few-inputs') where vectors.length < minInputs(f). */
  run(inputs: AggregateInputs): AggregateResult
}
