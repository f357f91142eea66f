// What an attack of the lab is: a pure function from all that the attackers know of a round to the vectors that they send.

import type { Rule } from '../../../protocol/aggregation/index.ts'
import type { Vector } from '../../../protocol/aggregation/matrix.ts'
import type { Given } from '../../../protocol/aggregation/parameters.ts'
import type { DataSet } from '../../data/spec.ts'

export interface ForgeOptions {
  /** The honest row whose peer receives the vectors. Default 0; matters to attacks that are `perTarget`. */
  own?: number
  /** What the receiver weighs each vector with, the honest ones first and then the f forged: W_ij. Default: all alike. */
  weights?: ArrayLike<number>
  /** Row-major W_ij of the honest among each other, symmetric, never changed; the diagonal is not looked at. Default: everyone with everyone, all alike. */
  graph?: ArrayLike<number>
  /** The rule that the receiver uses, for attacks that are optimal against it. */
  rule?: Pick<Rule, 'run'>
  /** The model from which the round's training began: attacks act on the honest steps from there. Default: the origin. */
  start?: Vector
  /** What the attackers trained themselves, f vectors: on data that `poison` made, where the attack has it. */
  trained?: readonly Vector[]
  /** Counted from 1: what sleepers wait for. Default: they are awake. */
  round?: number
  /** Seeds what an attack draws; a round's number belongs in it. Default: always the same draw. */
  seed?: number | string
}

/** `ForgeOptions` with the defaults in place, checked. */
export interface Knowledge extends Omit<ForgeOptions, 'weights' | 'round'> {
  honest: readonly Vector[]
  f: number
  own: number
  weights: Float64Array
  seed: number | string
}

/** What samples are, for attacks on data. */
export interface AboutData {
  /** Shape of one sample; images are channels, rows, columns. */
  sampleShape: readonly number[]
  /** Classes that the model tells apart; 2 for yes or no; undefined where it predicts something else. */
  classes: number | undefined
  /** A label that does not count. */
  ignoreIndex?: number | undefined
  /** Chooses the samples that are changed. */
  seed: number | string
}

/** An attack with its parameters bound. */
export interface BoundAttack {
  /** f vectors, which may be one and the same array. Defaults to what the attackers trained. */
  forge?(known: Knowledge): readonly Float64Array[]
  /** Data that the attackers train on instead of their own, which stays as it is. */
  poison?(data: DataSet, about: AboutData): DataSet
  /** Test data on which the accuracy is the attack's success rate. */
  success?(data: DataSet, about: AboutData): DataSet
  /** The vectors depend on who receives them: what a signed announcement rules out, as two of them are proof. */
  perTarget?: boolean
  /** Made against the receivers' rule, all receivers being alike. */
  againstRule?: boolean
}

export interface Definition {
  /** Parameters, first the one that may be given without its name. */
  takes: readonly string[]
  build(given: Given): BoundAttack
}
