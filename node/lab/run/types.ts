// What a run of the lab is asked for, and what it tells.

/** All that a run is made from: the same options give the same results. */
export interface LabOptions {
  /** Virtual peers, attackers included. */
  peers: number
  /** How many of them attack: the last ones. */
  byzantine: number
  /** As `parseLabAttack` takes it; none: all are honest, and `byzantine` is only what the rule withstands. */
  attack?: string
  rule: string
  topology: string
  partition: string
  /** Share of gossip messages that are lost, 0..1. */
  drop: number
  /** Share of the peers that stop each round and come back in the next, 0..1. */
  churn: number
  /** Virtual milliseconds that a message takes, on the average. */
  delay: number
  /** A name of the model zoo, or the path of an ONNX model. */
  model: string
  /** Where it is not what the built-in model is for, or cross-entropy. */
  loss?: 'cross-entropy' | 'bce'
  /** `mnist`, or what the product loads. */
  data: string
  /** The column or array to predict, where its name does not tell. */
  label?: string
  rounds: number
  /** Local steps of a round. */
  steps: number
  batchSize: number
  lr: number
  momentum: number
  seed: number
  /** How models travel, where it is not what a new network takes. */
  codec?: 'float32' | 'float16' | 'int8'
  /** Members pulled from in a round; without it, what the product takes. */
  fanout?: number
  /** The f a rule is told, where it is not what follows from `byzantine`. */
  f?: number
}

export interface Accuracies {
  mean: number
  worst: number
  best: number
  /** Standard deviation among the peers. */
  spread: number
}

/** A round as the honest peers ended it. */
export interface RoundRecord {
  round: number
  /** Of the honest models on the common test data. */
  accuracy: Accuracies
  loss: { mean: number; worst: number }
  /** Mean distance of the honest models from their mean, relative to the length of that mean. */
  disagreement: number
  /** Vectors that a rule was given, own included: mean over the honest peers. */
  inputs: number
  /** Honest peers that aggregated in this round. */
  aggregated: number
  /** Mean share of an honest new model that came from attackers. */
  attackersWeight: number
  /** Of an honest peer in this round, mean. */
  bytesReceived: number
  virtualMillis: number
  realMillis: number
  /** A backdoor's success rate on the honest models, mean. */
  success?: number
}

export interface LabResult {
  version: 1
  options: LabOptions
  rounds: RoundRecord[]
  final: {
    accuracy: Accuracies
    loss: { mean: number; worst: number }
    /** Of the mean of the honest models. */
    meanModelAccuracy: number
    success?: number
    seconds: number
    peakBytes: number
  }
  /** One sentence each. */
  warnings: string[]
}

export interface LabHooks {
  onRound?(record: RoundRecord): void
  onProgress?(text: string): void
  /** A sentence of `warnings`, as soon as it is known. */
  onWarning?(text: string): void
  /** Threads that train, and as many that aggregate; none of a result depends on it. Default: as many as cores. */
  workers?: number
  signal?: AbortSignal
}
