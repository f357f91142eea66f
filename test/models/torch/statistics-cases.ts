// Models with BatchNormalization that are trained in PyTorch and here. After a change here: node scripts/torch/objectives.ts.
import type { OptimizerOptions } from '../../../models/index.ts'
import { sizeOf } from '../../../protocol/layout.ts'
import { createPrng } from '../../../protocol/prng.ts'
import { type Batch, buildModel, normals, type Parts, sgd } from '../helpers.ts'

export const SAMPLES = 12
export const CLASSES = 3
/** Rows of each step. */
const BATCH_SIZE = 4
const STEPS = 5

export interface StatisticsCase {
  /** 1: a column for each channel. 2: channels of pixels. */
  dimensions: 1 | 2
  /** Of the running statistics in PyTorch's sense: the share of the new. */
  momentum: number
  epsilon: number
  /** True: normalises by the statistics it was exported with, which stay. */
  frozen: boolean
  optimizer: OptimizerOptions
}

const FEATURES = { 1: [5], 2: [2, 3, 4] } as const
const CHANNELS = 4

export const STATISTICS_CASES: Readonly<Record<string, StatisticsCase>> = {
  columns: { dimensions: 1, momentum: 0.1, epsilon: 1e-5, frozen: false, optimizer: sgd({ learningRate: 0.3 }) },
  pixels: { dimensions: 2, momentum: 0.25, epsilon: 1e-3, frozen: false, optimizer: sgd({ learningRate: 0.3 }) },
  'columns, every option of sgd': {
    dimensions: 1,
    momentum: 0.1,
    epsilon: 1e-5,
    frozen: false,
    optimizer: sgd({ learningRate: 0.2, momentum: 0.9, nesterov: true, weightDecay: 0.1, clipNorm: 0.3, proximal: 0.5 }),
  },
  'pixels, every option of adamw': {
    dimensions: 2,
    momentum: 0.1,
    epsilon: 1e-5,
    frozen: false,
    optimizer: sgd({ kind: 'adamw', learningRate: 0.03, epsilon: 1e-3, weightDecay: 0.1, clipNorm: 0.3, proximal: 0.5 }),
  },
  'columns, frozen': { dimensions: 1, momentum: 0.1, epsilon: 1e-5, frozen: true, optimizer: sgd({ learningRate: 0.3, weightDecay: 0.1 }) },
  'pixels, frozen': { dimensions: 2, momentum: 0.1, epsilon: 1e-5, frozen: true, optimizer: sgd({ learningRate: 0.3, weightDecay: 0.1 }) },
}

/** As PyTorch exports it for training, or where frozen for inference: BatchNormalization between two layers, tanh after it. */
export function statisticsModel({ dimensions, momentum, epsilon, frozen }: StatisticsCase): Uint8Array {
  const normalize = ({ b, weight }: Parts, x: string) => {
    const statistics = [
      weight('bn.weight', [CHANNELS], 1),
      weight('bn.bias', [CHANNELS]),
      weight('bn.mean', [CHANNELS]),
      weight('bn.var', [CHANNELS], 2.5),
    ]
    const attributes = { epsilon: { float: epsilon }, momentum: { float: 1 - momentum } }
    if (frozen) return b.op('BatchNormalization', [x, ...statistics], attributes)
    return b.ops('BatchNormalization', [x, ...statistics], 3, { ...attributes, training_mode: { int: 1 } })[0]!
  }
  return buildModel(FEATURES[dimensions], (parts, x) => {
    const { b, weight } = parts
    const first =
      dimensions === 1
        ? b.op('Gemm', [x, weight('first', [FEATURES[1][0], CHANNELS])])
        : b.op('Conv', [x, weight('first', [CHANNELS, FEATURES[2][0], 3, 3])], { pads: { ints: [1, 1, 1, 1] } })
    const hidden = b.op('Flatten', [b.op('Tanh', [normalize(parts, first)])])
    const width = dimensions === 1 ? CHANNELS : CHANNELS * FEATURES[2][1] * FEATURES[2][2]
    return b.op('Gemm', [hidden, weight('last', [width, CLASSES])])
  })
}

export function statisticsData({ dimensions }: StatisticsCase): { batch: Batch; index: number[][] } {
  const prng = createPrng(`statistics ${dimensions}`)
  const shape = FEATURES[dimensions]
  const batch = {
    x: normals(prng, SAMPLES * sizeOf(shape), 2),
    y: Int32Array.from({ length: SAMPLES }, () => prng.int(CLASSES)),
    shape,
  }
  return { batch, index: Array.from({ length: STEPS }, () => Array.from({ length: BATCH_SIZE }, () => prng.int(SAMPLES))) }
}
