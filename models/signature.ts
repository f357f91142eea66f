// What a model takes, for whoever writes a task around it.

import type { InputOptions, TargetOptions } from './forward.ts'
import { TYPE } from './graph.ts'
import { loadModel, type Model } from './load.ts'
import { headOf, type LossOptions } from './loss.ts'
import { fixedSampleSize, lower, trialBatch } from './lower.ts'

export interface ModelSignature {
  /** Type of the input: numbers, or whole numbers such as token ids. */
  input: 'float32' | 'int64'
  /** Shape of one sample; null where the model leaves a dimension open. */
  inputShape: (number | null)[]
  /** True where a sample has an answer for each of its positions, as texts and masks have, not one for all of it. */
  perPosition: boolean
}

/** @param graph a hollow model. @throws limit-exceeded, model-invalid, operator-unsupported */
export function modelSignature(graph: Uint8Array): ModelSignature {
  const model = loadModel(graph)
  const { input } = model
  return {
    input: input.type === TYPE.float32 ? 'float32' : 'int64',
    inputShape: input.dims.slice(1).map((dim) => (typeof dim === 'number' ? dim : null)),
    perPosition: hasPositions(model),
  }
}

/** [batch, positions, classes], or positions and batch in one; what the model leaves open it at least declares the rank of. */
function hasPositions(model: Model): boolean {
  if (fixedSampleSize(model) === undefined) return model.output.dims.length > 2
  const { shapes, input, output } = lower(model, { batch: trialBatch(model), training: false })
  const dims = shapes.get(output)!
  return dims.length > 2 || dims[0] !== shapes.get(input)![0]
}

/** Classes that the model tells apart, for labels of `target`; undefined where the loss is not over classes. @throws model-invalid */
export function classesOf(
  graph: Uint8Array,
  loss: LossOptions,
  input: Pick<InputOptions, 'shape'>,
  target: Pick<TargetOptions, 'kind' | 'shape'>,
): number | undefined {
  if (loss.kind !== 'cross-entropy') return undefined
  const model = loadModel(graph)
  const lowered = lower(model, { batch: trialBatch(model, input.shape), sample: input.shape, training: false })
  return headOf(lowered, loss, { kind: target.kind, shape: target.shape }).classes
}
