// A hollow model to a graph that tells loss and correctness sample by sample.
import { type Layout, layoutSize } from '../protocol/layout.ts'
import { createBuilder } from './builder.ts'
import { attachForward, dataInputs, gatherLabels, INDEX, type InputOptions, type LabelType, PARAMS } from './forward.ts'
import { TYPE } from './graph.ts'
import type { Model } from './load.ts'
import { attachLoss, type LossOptions, scoresOf } from './loss.ts'
import { lower } from './lower.ts'
import { encodeModel } from './serialize.ts'

export interface EvaluationOptions {
  layout: Layout
  loss: LossOptions
  input: InputOptions
  batchSize: number
  labels: LabelType
}

/**
 * Inputs: `params` f32 [P]; `x`, `y` as in compileTraining; `index` int32 [batchSize], rows of x; a caller with fewer repeats some.
 * Outputs, by row of `index`: `losses` f32 [batchSize]; `correct` uint8 [batchSize], 1 where the highest score is the label.
 * @returns ONNX bytes
 * @throws model-invalid, operator-unsupported, task-unsupported
 */
export function compileEvaluation(model: Model, { layout, loss, input, batchSize, labels }: EvaluationOptions): Uint8Array {
  const lowered = lower(model, batchSize)
  const b = createBuilder()
  attachForward(b, lowered, { layout, input, params: PARAMS, rows: INDEX })
  const scores = scoresOf(lowered)
  const label = gatherLabels(b, INDEX)
  const { each } = attachLoss(b, loss, scores, label, batchSize)
  const best = b.op('ArgMax', [scores.logits], { axis: { int: 1 }, keepdims: { int: 0 } })
  b.add({ op: 'Identity', name: 'losses', inputs: [each], outputs: ['losses'], attributes: {} })
  const equal = b.op('Equal', [best, label])
  b.add({ op: 'Cast', name: 'correct', inputs: [equal], outputs: ['correct'], attributes: { to: { int: TYPE.uint8 } } })
  return encodeModel({
    name: 'evaluation',
    inputs: [
      { name: PARAMS, type: TYPE.float32, dims: [layoutSize(layout)] },
      ...dataInputs(input, labels),
      { name: INDEX, type: TYPE.int32, dims: [batchSize] },
    ],
    outputs: [
      { name: 'losses', type: TYPE.float32, dims: [batchSize] },
      { name: 'correct', type: TYPE.uint8, dims: [batchSize] },
    ],
    nodes: b.nodes,
    constants: b.constants,
  })
}
