// Losses that are compared with PyTorch's, each on a batch of scores that are the parameters themselves: their gradient is the loss's own.
// After a change here: node scripts/torch/objectives.ts.
import type { LossOptions } from '../../../models/index.ts'
import { sizeOf } from '../../../protocol/layout.ts'
import { createPrng } from '../../../protocol/prng.ts'

export const BATCH = 6

export interface LossCase {
  loss: LossOptions
  /** Shape of the scores, the batch included. */
  shape: number[]
  /** Where the classes lie in it; of cross-entropy only. */
  axis: number
  /** Shape of one sample's labels. */
  labelShape: number[]
  scores: Float32Array
  labels: Int32Array | Float32Array
  /** What the model ends in and the loss does not contain. */
  activation?: 'softmax' | 'sigmoid'
}

interface Changes extends Partial<Omit<LossCase, 'loss'>>, Partial<LossOptions> {
  /** Standard deviation of the scores. */
  deviation?: number
  /** Of cross-entropy: the label of every third. */
  third?: number
  /** Of bce: labels anywhere from 0 to 1. */
  soft?: boolean
}

const IGNORED = -100
const WEIGHTS = [0.5, 2, 1, 0]
const SMOOTHING = 0.1
/** Every option at once. */
const ALL = { classWeights: WEIGHTS, labelSmoothing: SMOOTHING, ignoreIndex: IGNORED, third: IGNORED }

function lossCase(kind: LossOptions['kind'], outputShape: number[], changes: Changes = {}): LossCase {
  const { deviation = 1, third, soft = false, activation, axis = -1, labelShape = [], ...options } = changes
  const prng = createPrng(`${kind} ${outputShape} ${JSON.stringify(changes)}`)
  const classes = kind === 'cross-entropy' ? outputShape.at(axis)! : 1
  const draw = {
    'cross-entropy': () => prng.int(classes),
    bce: () => (soft ? prng.next() : prng.int(2)),
    mse: () => prng.normal(),
    l1: () => prng.normal(),
    huber: () => 2 * prng.normal(),
  }[kind]
  const labels = Array.from({ length: BATCH * sizeOf(labelShape) }, (_, i) => (third !== undefined && i % 3 === 0 ? third : draw()))
  return {
    loss: { kind, ...options },
    shape: outputShape,
    axis,
    labelShape,
    scores: Float32Array.from({ length: sizeOf(outputShape) }, () => deviation * prng.normal()),
    labels: kind === 'cross-entropy' ? Int32Array.from(labels) : Float32Array.from(labels),
    ...(activation && { activation }),
  }
}

const classes = (changes?: Changes) => lossCase('cross-entropy', [BATCH, 4], changes)

export const LOSS_CASES: Readonly<Record<string, LossCase>> = {
  'cross-entropy': classes(),
  'cross-entropy of two classes': lossCase('cross-entropy', [BATCH, 2]),
  'cross-entropy with weights': classes({ classWeights: WEIGHTS }),
  'cross-entropy with smoothing': classes({ labelSmoothing: SMOOTHING }),
  'cross-entropy with full smoothing': classes({ labelSmoothing: 1 }),
  'cross-entropy with weights and smoothing': classes({ classWeights: WEIGHTS, labelSmoothing: SMOOTHING }),
  'cross-entropy with ignored labels': classes({ ignoreIndex: IGNORED, third: IGNORED }),
  'cross-entropy that ignores a class': classes({ ignoreIndex: 2, third: 2 }),
  'cross-entropy with smoothing and ignored labels': classes({ labelSmoothing: SMOOTHING, ignoreIndex: IGNORED, third: IGNORED }),
  'cross-entropy with weights and ignored labels': classes({ classWeights: WEIGHTS, ignoreIndex: 1, third: 1 }),
  'cross-entropy with everything': classes(ALL),
  'cross-entropy of huge scores': classes({ deviation: 1e4 }),
  'cross-entropy of huge scores, smoothed': classes({ deviation: 1e3, labelSmoothing: SMOOTHING }),
  'cross-entropy per token': lossCase('cross-entropy', [BATCH, 3, 4], { labelShape: [3] }),
  'cross-entropy per token with everything': lossCase('cross-entropy', [BATCH, 3, 4], { labelShape: [3], ...ALL }),
  'cross-entropy per token, classes second': lossCase('cross-entropy', [BATCH, 4, 3], { labelShape: [3], axis: 1 }),
  'cross-entropy per token, classes second, with everything': lossCase('cross-entropy', [BATCH, 4, 3], {
    labelShape: [3],
    axis: 1,
    ...ALL,
  }),
  'cross-entropy per token, in one axis': lossCase('cross-entropy', [BATCH * 3, 4], { labelShape: [3] }),
  'cross-entropy per token, in one axis, with everything': lossCase('cross-entropy', [BATCH * 3, 4], { labelShape: [3], ...ALL }),
  'cross-entropy per token, as many as classes': lossCase('cross-entropy', [BATCH, 4, 4], { labelShape: [4] }),
  'cross-entropy per pixel': lossCase('cross-entropy', [BATCH, 4, 2, 3], { labelShape: [2, 3], axis: 1 }),
  'cross-entropy per pixel with everything': lossCase('cross-entropy', [BATCH, 4, 2, 3], { labelShape: [2, 3], axis: 1, ...ALL }),
  'cross-entropy per pixel, classes last': lossCase('cross-entropy', [BATCH, 2, 3, 4], { labelShape: [2, 3] }),
  bce: lossCase('bce', [BATCH]),
  'bce of a column': lossCase('bce', [BATCH, 1]),
  'bce of many labels': lossCase('bce', [BATCH, 3], { labelShape: [3] }),
  'bce of a grid': lossCase('bce', [BATCH, 2, 3], { labelShape: [2, 3] }),
  'bce of soft labels': lossCase('bce', [BATCH, 3], { labelShape: [3], soft: true }),
  'bce with a weight for yes': lossCase('bce', [BATCH, 3], { labelShape: [3], classWeights: [1, 3] }),
  'bce with both weights': lossCase('bce', [BATCH], { classWeights: [0.25, 2] }),
  'bce with smoothing': lossCase('bce', [BATCH], { labelSmoothing: SMOOTHING }),
  'bce with everything': lossCase('bce', [BATCH, 3], { labelShape: [3], classWeights: [2, 0.5], labelSmoothing: SMOOTHING, soft: true }),
  'bce of scores around 100': lossCase('bce', [BATCH, 3], { labelShape: [3], deviation: 100 }),
  mse: lossCase('mse', [BATCH]),
  'mse of a column': lossCase('mse', [BATCH, 1]),
  'mse of a grid': lossCase('mse', [BATCH, 2, 3], { labelShape: [2, 3] }),
  'mse of a softmax': lossCase('mse', [BATCH, 3], { labelShape: [3], activation: 'softmax' }),
  'mse of a sigmoid': lossCase('mse', [BATCH, 1], { activation: 'sigmoid' }),
  l1: lossCase('l1', [BATCH]),
  'l1 of a column': lossCase('l1', [BATCH, 1]),
  'l1 of a grid': lossCase('l1', [BATCH, 2, 3], { labelShape: [2, 3] }),
  huber: lossCase('huber', [BATCH]),
  'huber of a column': lossCase('huber', [BATCH, 1], { huberDelta: 0.3 }),
  'huber of a grid': lossCase('huber', [BATCH, 2, 3], { labelShape: [2, 3], huberDelta: 2.5 }),
}
