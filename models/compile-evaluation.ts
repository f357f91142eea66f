// A hollow model to a graph that tells, sample by sample, loss and what metrics are made of.
import { layoutSize, sizeOf } from '../protocol/layout.ts'
import { createBuilder } from './builder.ts'
import { attachForward, dataInputs, gatherLabels, INDEX, type InputOptions, isClasses, PARAMS, type TargetOptions } from './forward.ts'
import { floatTensor, TYPE, type ValueInfo } from './graph.ts'
import type { Model } from './load.ts'
import { attachLoss, type LossOptions } from './loss.ts'
import { checkBatch, lower } from './lower.ts'
import { toFloat } from './operators/elementwise.ts'
import { encodeModel } from './serialize.ts'

export interface EvaluationOptions {
  loss: LossOptions
  input: InputOptions
  target: TargetOptions
  batchSize: number
}

/** Whether `scores` are among the outputs: where there are two classes, or one answer of yes or no. */
export const hasScores = ({ kind, size }: TargetOptions): boolean => (kind === 'class' && size === 2) || (kind === 'binary' && size === 1)

/**
 * Inputs: `params` f32 [P]; `x`, `y` as in compileTraining; `index` int32 [batchSize], rows of x; a caller with fewer repeats some.
 * Outputs, all f32 [batchSize] by row of `index`: `losses` and `weights`, whose sums' ratio is the mean loss; `correct` (classes, yes or
 * no: right answers) or `errors` (numbers: sum of |output - label|), and `counted`, the labels they are over; `scores` where hasScores,
 * higher for the second class or yes.
 * @returns ONNX bytes
 * @throws model-invalid, operator-unsupported, task-unsupported
 */
export function compileEvaluation(model: Model, { loss, input, target, batchSize }: EvaluationOptions): Uint8Array {
  checkBatch(model, batchSize, input.shape)
  const lowered = lower(model, { batch: batchSize, sample: input.shape, training: false })
  const b = createBuilder()
  attachForward(b, lowered, { layout: model.layout, input, params: PARAMS, rows: INDEX })
  const labels = gatherLabels(b, INDEX, target)
  const { losses, weights, scores, counted } = attachLoss(b, lowered, loss, target, labels)
  const perSample = sizeOf(target.shape)
  const sum = (value: string) =>
    perSample === 1
      ? value
      : b.op('ReduceSum', [b.op('Reshape', [value, b.ints([batchSize, perSample])]), b.ints([1])], { keepdims: { int: 0 } })
  const outputs: ValueInfo[] = []
  const output = (name: string, value: string): void => {
    b.add({ op: 'Identity', name, inputs: [value], outputs: [name], attributes: {} })
    outputs.push({ name, type: TYPE.float32, dims: [batchSize] })
  }
  output('losses', losses)
  output('weights', weights)
  if (target.kind === 'number') {
    output('errors', sum(b.op('Abs', [b.op('Sub', [scores, labels])])))
  } else {
    const positive = (value: string, above: number) => b.op('Greater', [value, b.scalar(above)])
    const right = isClasses(target)
      ? b.op('Equal', [b.op('ArgMax', [scores], { axis: { int: 1 }, keepdims: { int: 0 } }), labels])
      : b.op('Equal', [positive(scores, 0), positive(labels, 0.5)])
    output('correct', sum(counted === undefined ? toFloat(b, right) : b.op('Mul', [toFloat(b, right), counted])))
  }
  const all = () => b.tensor(floatTensor(new Float32Array(batchSize).fill(perSample), [batchSize]))
  output('counted', counted === undefined ? all() : sum(counted))
  if (hasScores(target)) output('scores', isClasses(target) ? difference() : scores)
  return encodeModel({
    name: 'evaluation',
    inputs: [
      { name: PARAMS, type: TYPE.float32, dims: [layoutSize(model.layout)] },
      ...dataInputs(input, target),
      { name: INDEX, type: TYPE.int32, dims: [batchSize] },
    ],
    outputs,
    nodes: b.nodes,
    constants: b.constants,
  })

  /** log p(second) - log p(first). */
  function difference(): string {
    const [first = '', second = ''] = b.ops('Split', [scores, b.ints([1, 1])], 2, { axis: { int: 1 } })
    return b.op('Reshape', [b.op('Sub', [second, first]), b.ints([batchSize])])
  }
}
