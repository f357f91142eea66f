// Optimizers and schedules that are compared with PyTorch's: ten steps of softmax regression each.
// After a change here: node scripts/torch/objectives.ts.
import type { OptimizerOptions } from '../../../models/index.ts'
import { createPrng } from '../../../protocol/prng.ts'
import { buildModel, normals, sgd } from '../helpers.ts'

export const STEPS = 10
export const FEATURES = 4
export const CLASSES = 3
const SAMPLES = 12
const BATCH_SIZE = 4

const prng = createPrng('optimizers')
export const REGRESSION = buildModel([FEATURES], ({ b, weight }, x) =>
  b.op('Gemm', [x, weight('w', [FEATURES, CLASSES]), weight('c', [CLASSES])]),
)
export const DATA = {
  x: normals(prng, SAMPLES * FEATURES),
  y: Int32Array.from({ length: SAMPLES }, () => prng.int(CLASSES)),
  shape: [FEATURES],
}
/** The rows of each step. */
export const INDEX = Array.from({ length: STEPS }, () => Array.from({ length: BATCH_SIZE }, () => prng.int(SAMPLES)))

const adam = (options: Partial<OptimizerOptions> = {}) => sgd({ kind: 'adam', learningRate: 0.05, ...options })
const adamw = (options: Partial<OptimizerOptions> = {}) => adam({ kind: 'adamw', ...options })
const plain = (options: Partial<OptimizerOptions> = {}) => sgd({ learningRate: 0.3, ...options })
const BETAS = { beta1: 0.6, beta2: 0.9, epsilon: 1e-3 }
const STEP = { schedule: 'step', scheduleSteps: 3, scheduleFactor: 0.4 } as const
const COSINE = { schedule: 'cosine', scheduleSteps: 9, scheduleFactor: 0.2 } as const

export const OPTIMIZER_CASES: Readonly<Record<string, OptimizerOptions>> = {
  sgd: plain(),
  'sgd, momentum': plain({ momentum: 0.9 }),
  'sgd, Nesterov': plain({ momentum: 0.8, nesterov: true }),
  'sgd, decay': plain({ weightDecay: 0.1 }),
  'sgd, momentum and decay': plain({ momentum: 0.9, weightDecay: 0.1 }),
  'sgd, Nesterov and decay': plain({ momentum: 0.9, nesterov: true, weightDecay: 0.1 }),
  'sgd, clipped': plain({ momentum: 0.9, clipNorm: 0.2 }),
  'sgd, hardly clipped': plain({ clipNorm: 100 }),
  'sgd, proximal': plain({ proximal: 0.5 }),
  'sgd, everything': plain({ momentum: 0.9, nesterov: true, weightDecay: 0.1, clipNorm: 0.3, proximal: 0.5 }),
  adam: adam(),
  'adam, decay': adam({ weightDecay: 0.1 }),
  'adam, other betas': adam(BETAS),
  'adam, no betas': adam({ beta1: 0, beta2: 0, epsilon: 0.1 }),
  'adam, everything': adam({ ...BETAS, weightDecay: 0.1, clipNorm: 0.3, proximal: 0.5 }),
  adamw: adamw(),
  'adamw, decay': adamw({ weightDecay: 0.3 }),
  'adamw, everything': adamw({ ...BETAS, weightDecay: 0.3, clipNorm: 0.3, proximal: 0.5 }),
  'adamw, clipped': adamw({ weightDecay: 0.01, clipNorm: 0.2 }),
  'sgd by steps': plain(STEP),
  'sgd by a cosine': plain({ ...COSINE, momentum: 0.9 }),
  'adamw by a cosine down to nothing': adamw({ ...COSINE, scheduleFactor: 0, weightDecay: 0.3 }),
  'sgd after a warm-up': plain({ warmupSteps: 4 }),
  'sgd by steps after a warm-up': plain({ ...STEP, warmupSteps: 2 }),
  'adamw by a short cosine after a warm-up': adamw({ ...COSINE, scheduleSteps: 5, warmupSteps: 3 }),
}
