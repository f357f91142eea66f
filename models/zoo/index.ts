// The models that come with Murmuration: forward ONNX graphs with seeded initial weights.
import { MurmurError } from '../../protocol/errors.ts'
import { createPrng, type Prng } from '../../protocol/prng.ts'
import { network } from './layers.ts'

/** One line on each model, by name. */
export const ZOO = {
  'mnist-cnn': 'two 5x5 convolutions (16 and 32 channels) and one layer, 18,378 parameters, 28x28 images to 10 classes',
  'mnist-mlp': 'one hidden layer of 128, 101,770 parameters, 28x28 images to 10 classes',
  softmax: 'softmax regression, 7,850 parameters, 28x28 images to 10 classes',
} as const

export type ZooName = keyof typeof ZOO

const IMAGE = [1, 28, 28]
const PIXELS = 28 * 28
const CLASSES = 10

const BUILD: Record<ZooName, (prng: Prng) => Uint8Array> = {
  // Relu after the pool: the same values, with a quarter of the work.
  'mnist-cnn': (prng) =>
    network('mnist-cnn', IMAGE, prng)
      .conv('conv1', 1, 16, 5)
      .maxPool()
      .relu()
      .conv('conv2', 16, 32, 5)
      .maxPool()
      .relu()
      .flatten()
      .linear('fc', 32 * 4 * 4, CLASSES)
      .finish(),
  'mnist-mlp': (prng) => network('mnist-mlp', IMAGE, prng).flatten().linear('fc1', PIXELS, 128).relu().linear('fc2', 128, CLASSES).finish(),
  softmax: (prng) => network('softmax', IMAGE, prng).flatten().linear('fc', PIXELS, CLASSES).finish(),
}

export const isZooModel = (name: string): name is ZooName => Object.hasOwn(ZOO, name)

/**
 * A whole ONNX model, input [batch, 1, 28, 28] float32, output logits [batch, 10]. The same seed gives the same bytes.
 * @throws bad-argument for a name that is not in ZOO
 */
export function zooModel(name: string, seed: number | string): Uint8Array {
  if (!isZooModel(name)) {
    throw new MurmurError('bad-argument', `There is no built-in model "${name}"; there are ${Object.keys(ZOO).join(', ')}.`)
  }
  return BUILD[name](createPrng(`${seed} ${name}`))
}
