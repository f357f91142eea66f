// What a model takes and gives, for whoever writes a task around it.
import { loadModel } from './load.ts'
import { scoresOf } from './loss.ts'
import { lower } from './lower.ts'

export interface ModelSignature {
  /** Shape of one sample. */
  inputShape: number[]
  /** Scores a sample. */
  outputs: number
}

/** @param graph a hollow model. @throws limit-exceeded, model-invalid, operator-unsupported */
export function modelSignature(graph: Uint8Array): ModelSignature {
  const model = loadModel(graph)
  return { inputShape: model.input.dims.slice(1).map(Number), outputs: scoresOf(lower(model, 1)).classes }
}
