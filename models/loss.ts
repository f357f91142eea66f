// Losses, attached to a model's end together with their gradient. A Softmax that ends the model is part of the loss, since
// log(softmax(x)) loses all precision where x is large.
import { MurmurError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Builder } from './builder.ts'
import { floatTensor, intAttribute, invalid } from './graph.ts'
import type { Lowered } from './lower.ts'

export type LossOptions = Manifest['loss']

export interface Loss {
  /** The model's value that the loss reads, and dL/d that value for L = the mean over the batch. */
  value: string
  grad: string
  /** One loss a sample, [batch]. */
  each: string
}

export interface Scores {
  /** Scores before any softmax, [batch, classes]. */
  logits: string
  classes: number
}

/** The model's raw scores: its output, or what goes into a final Softmax or LogSoftmax. @throws model-invalid */
export function scoresOf({ nodes, shapes, output, input }: Lowered): Scores {
  const shape = shapes.get(output) ?? []
  const [batch] = shapes.get(input) ?? []
  if (shape.length !== 2 || shape[0] !== batch || shape[1]! < 2) {
    throw invalid(
      `For a batch of ${batch} the model's output has the shape [${shape.join(', ')}]; a classifier needs [${batch}, classes]. ` +
        'Export the model with a dynamic batch axis.',
    )
  }
  const last = nodes.find(({ outputs }) => outputs[0] === output)
  const isFinal = last !== undefined && ['Softmax', 'LogSoftmax'].includes(last.op) && [1, -1].includes(intAttribute(last, 'axis', -1))
  return { logits: isFinal ? last.inputs[0]! : output, classes: shape[1]! }
}

/**
 * Cross-entropy of softmax(logits) with class numbers `labels` (int64, [batch]), averaged over the batch:
 * L = -mean(sum(q log p)), dL/dlogits = (p - q) / batch, q the one-hot label, smoothed towards uniform by `labelSmoothing`.
 * @throws task-unsupported
 */
export function attachLoss(b: Builder, loss: LossOptions, { logits, classes }: Scores, labels: string, batch: number): Loss {
  const unsupported = (what: string) =>
    new MurmurError('task-unsupported', `The task's loss is ${what}, which this version of Murmuration does not have.`)
  if (loss.kind !== 'cross-entropy') throw unsupported(`"${loss.kind}"`)
  if (loss.ignoreIndex !== undefined) throw unsupported('cross-entropy with ignoreIndex')
  if (loss.classWeights !== undefined) throw unsupported('cross-entropy with classWeights')
  const smoothing = loss.labelSmoothing ?? 0
  const values = b.tensor(floatTensor([smoothing / classes, 1 - smoothing + smoothing / classes], [2]))
  const target = b.op('OneHot', [labels, b.ints([classes], []), values])
  const logProbabilities = b.op('LogSoftmax', [logits], { axis: { int: 1 } })
  const terms = b.op('Mul', [target, logProbabilities])
  const each = b.op('Neg', [b.op('ReduceSum', [terms, b.ints([1])], { keepdims: { int: 0 } })])
  const difference = b.op('Sub', [b.op('Exp', [logProbabilities]), target])
  return { value: logits, grad: b.op('Div', [difference, b.scalar(batch)]), each }
}
