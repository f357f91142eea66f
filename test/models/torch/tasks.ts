// How each zoo model is trained in PyTorch and here, to compare their losses: samples from a seed, and one optimizer and loss a model.
// After a change here: node scripts/torch/references.ts.
import { ZOO_TASKS, type ZooName } from '../../../models/zoo/index.ts'
import { sizeOf } from '../../../protocol/layout.ts'
import { type Manifest, manifestSchema } from '../../../protocol/manifest.ts'
import { createPrng, type Prng } from '../../../protocol/prng.ts'

/** Seed of the initial weights. */
export const SEED = 'torch'
export const STEPS = 20
/** The steps go through these in order, and round again. */
export const SAMPLES = 64

export interface TorchTask {
  batchSize: number
  loss: Manifest['loss']
  optimizer: Manifest['optimizer']
}

const task = (batchSize: number, loss: Partial<Manifest['loss']>, optimizer: Partial<Manifest['optimizer']>) => ({
  batchSize,
  loss,
  optimizer,
})

const OPTIONS: Record<ZooName, ReturnType<typeof task>> = {
  softmax: task(32, {}, { kind: 'sgd', learningRate: 0.05 }),
  'mnist-mlp': task(32, { labelSmoothing: 0.1 }, { kind: 'sgd', learningRate: 0.02, momentum: 0.9, nesterov: true, weightDecay: 0.01 }),
  'mnist-cnn': task(16, {}, { kind: 'sgd', learningRate: 0.02, momentum: 0.9 }),
  lenet5: task(16, {}, { kind: 'adam', learningRate: 0.002, weightDecay: 0.01 }),
  'resnet8-gn': task(16, {}, { kind: 'sgd', learningRate: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.0005 }),
  tabular: task(16, {}, { kind: 'adamw', learningRate: 0.01, weightDecay: 0.1 }),
  'char-gru': task(8, {}, { kind: 'adam', learningRate: 0.005, clipNorm: 0.45 }),
  'char-gpt': task(8, {}, { kind: 'adamw', learningRate: 0.002, beta2: 0.95, weightDecay: 0.1, clipNorm: 1 }),
  autoencoder: task(16, {}, { kind: 'adam', learningRate: 0.002 }),
}

export function torchTask(name: ZooName): TorchTask {
  const { batchSize, loss, optimizer } = OPTIONS[name]
  return { batchSize, loss: { kind: ZOO_TASKS[name].loss, ...loss }, optimizer: manifestSchema.shape.optimizer.parse(optimizer) }
}

/** The rows of each step. */
export const torchIndex = ({ batchSize }: TorchTask): number[][] =>
  Array.from({ length: STEPS }, (_, step) => Array.from({ length: batchSize }, (_, i) => (step * batchSize + i) % SAMPLES))

export interface TorchSamples {
  /** [SAMPLES, ...input.shape]; int32: token ids. */
  x: Float32Array | Int32Array
  /** [SAMPLES, ...target.shape]: class or token ids, or numbers. */
  y: Float32Array | Int32Array
}

/** Samples with something to learn in them, the same on every machine. */
export function torchSamples(name: ZooName): TorchSamples {
  const prng = createPrng(`${name} samples`)
  const { input, target } = ZOO_TASKS[name]
  if (name === 'tabular') return rows(prng)
  if (target.kind === 'tokens') return texts(prng, input.shape[0]!, target.size)
  const [channels, height, width] = input.shape as [number, number, number]
  const size = sizeOf(input.shape)
  const y = Int32Array.from({ length: SAMPLES }, () => prng.int(10))
  // Noise, and in the label's tenth of the image's height a bright band of a colour that changes with the label.
  const x = Float32Array.from({ length: SAMPLES * size }, (_, i) => {
    const label = y[Math.floor(i / size)]!
    const row = Math.floor(i / width) % height
    const channel = Math.floor(i / (width * height)) % channels
    const bright = Math.floor((10 * row) / height) === label && channel === label % channels
    return (prng.next() + (bright ? 1 : 0)) / 2
  })
  return { x, y: target.kind === 'class' ? y : x }
}

/** Three category codes and ten numbers; the label follows from one code and two numbers. */
function rows(prng: Prng): TorchSamples {
  const x: number[] = []
  const y: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    const codes = [8, 12, 5].map((size) => prng.int(size))
    const numbers = Array.from({ length: 10 }, () => prng.normal())
    x.push(...codes, ...numbers)
    y.push((codes[0]! % 2) + numbers[0]! - numbers[1]! > 0.5 ? 1 : 0)
  }
  return { x: Float32Array.from(x), y: Int32Array.from(y) }
}

/** Each token follows from the one before by a stride that the text keeps, but for one in eight; labels are the next tokens. */
function texts(prng: Prng, context: number, vocabulary: number): TorchSamples {
  const x: number[] = []
  const y: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    const stride = 1 + prng.int(3)
    let token = prng.int(vocabulary)
    for (let at = 0; at < context; at++) {
      x.push(token)
      token = prng.int(8) === 0 ? prng.int(vocabulary) : (token + stride) % vocabulary
      y.push(token)
    }
  }
  return { x: Int32Array.from(x), y: Int32Array.from(y) }
}
