// What a model takes, for whoever writes a task around it.

import type { InputOptions, TargetOptions } from './forward.ts'
import { TYPE } from './graph.ts'
import { loadModel } from './load.ts'
import { headOf, type LossOptions } from './loss.ts'
import { lower } from './lower.ts'

export interface ModelSignature {
  /** Type of the input: numbers, or whole numbers such as token ids. */
  input: 'float32' | 'int64'
  /** Shape of one sample; null where the model leaves a dimension open. */
  inputShape: (number | null)[]
}

/** @param graph a hollow model. @throws limit-exceeded, model-invalid, operator-unsupported */
export function modelSignature(graph: Uint8Array): ModelSignature {
  const { input } = loadModel(graph)
  return {
    input: input.type === TYPE.float32 ? 'float32' : 'int64',
    inputShape: input.dims.slice(1).map((dim) => (typeof dim === 'number' ? dim : null)),
  }
}

/** Classes that the model tells apart, for labels of `target`; undefined where the loss is not over classes. @throws model-invalid */
export function classesOf(
  graph: Uint8Array,
  loss: LossOptions,
  input: Pick<InputOptions, 'shape'>,
  target: Pick<TargetOptions, 'kind' | 'shape'>,
): number | undefined {
  if (loss.kind !== 'cross-entropy') return undefined
  return headOf(lower(loadModel(graph), { batch: 2, sample: input.shape, training: false }), loss, target).classes
}
