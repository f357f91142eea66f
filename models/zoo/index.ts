// The models that come with Murmuration: forward ONNX graphs with seeded initial weights.
import { MurmurError } from '../../protocol/errors.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { createPrng, type Prng } from '../../protocol/prng.ts'
import { autoencoder } from './autoencoder.ts'
import { gpt } from './gpt.ts'
import { gru } from './gru.ts'
import { cnn, lenet5, mlp, softmax } from './images.ts'
import { resnet } from './resnet.ts'
import { tabular } from './tabular.ts'

export { type AutoencoderOptions, autoencoder } from './autoencoder.ts'
export { type GptOptions, gpt } from './gpt.ts'
export { type GruOptions, gru } from './gru.ts'
export { cnn, lenet5, mlp, softmax } from './images.ts'
export { type ResNetOptions, resnet } from './resnet.ts'
export { type TabularOptions, tabular } from './tabular.ts'

/** One line on each model, by name. */
export const ZOO = {
  'mnist-cnn': 'two 5x5 convolutions (16 and 32 channels) and one layer, 18,378 parameters, 28x28 images to 10 classes',
  'mnist-mlp': 'one hidden layer of 128, 101,770 parameters, 28x28 images to 10 classes',
  softmax: 'softmax regression, 7,850 parameters, 28x28 images to 10 classes',
  lenet5: 'LeNet-5 with tanh and average pools, 61,706 parameters, 28x28 images to 10 classes',
  'resnet8-gn':
    'residual network with GroupNorm, three stages of 16, 32 and 64 channels, 78,042 parameters, 32x32 colour images to 10 classes',
  tabular: 'embeddings of 3 categories and 10 numbers, hidden layers of 64 and 32, 3,801 parameters, rows of a table to 2 classes',
  'char-gru': 'GRU of 128, 87,041 parameters, texts of 32 tokens out of 65 to the next token of each',
  'char-gpt':
    'decoder-only transformer, 2 layers, 4 heads, width 64, 112,512 parameters, texts of 64 tokens out of 65 to the next token of each',
  autoencoder: 'convolutional autoencoder with a code of 32 numbers, 115,217 parameters, 28x28 images to themselves',
} as const

export type ZooName = keyof typeof ZOO

/** What a model is for: one sample, the loss that fits, and one sample's labels (as a task names them). */
export interface ZooTask {
  input: Pick<Manifest['data']['input'], 'dtype' | 'shape'>
  loss: Manifest['loss']['kind']
  target: Pick<Manifest['data']['target'], 'kind' | 'size' | 'shape'>
}

const classes = (shape: number[], size: number): ZooTask => ({
  input: { dtype: 'float32', shape },
  loss: 'cross-entropy',
  target: { kind: 'class', size, shape: [] },
})
const tokens = (context: number, size: number): ZooTask => ({
  input: { dtype: 'int64', shape: [context] },
  loss: 'cross-entropy',
  target: { kind: 'tokens', size, shape: [context] },
})

export const ZOO_TASKS: Readonly<Record<ZooName, ZooTask>> = {
  'mnist-cnn': classes([1, 28, 28], 10),
  'mnist-mlp': classes([1, 28, 28], 10),
  softmax: classes([1, 28, 28], 10),
  lenet5: classes([1, 28, 28], 10),
  'resnet8-gn': classes([3, 32, 32], 10),
  tabular: classes([13], 2),
  'char-gru': tokens(32, 65),
  'char-gpt': tokens(64, 65),
  autoencoder: {
    input: { dtype: 'float32', shape: [1, 28, 28] },
    loss: 'mse',
    target: { kind: 'number', size: 28 * 28, shape: [1, 28, 28] },
  },
}

const BUILD: Readonly<Record<ZooName, (prng: Prng) => Uint8Array>> = {
  'mnist-cnn': cnn,
  'mnist-mlp': mlp,
  softmax,
  lenet5,
  'resnet8-gn': resnet,
  tabular,
  'char-gru': gru,
  'char-gpt': gpt,
  autoencoder,
}

export const isZooModel = (name: string): name is ZooName => Object.hasOwn(ZOO, name)

/**
 * A whole ONNX model, input [batch, ...shape] as ZOO_TASKS tells. The same seed gives the same bytes.
 * @throws bad-argument for a name that is not in ZOO
 */
export function zooModel(name: string, seed: number | string): Uint8Array {
  if (!isZooModel(name)) {
    throw new MurmurError('bad-argument', `There is no built-in model "${name}"; there are ${Object.keys(ZOO).join(', ')}.`)
  }
  return BUILD[name](createPrng(`${seed} ${name}`))
}
