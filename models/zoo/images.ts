// Classifiers of 28x28 grey images, MNIST's shape.
import type { Prng } from '../../protocol/prng.ts'
import { GLOROT, layers } from './layers.ts'

const IMAGE = [1, 28, 28]
const PIXELS = 28 * 28
const CLASSES = 10

export function softmax(prng: Prng): Uint8Array {
  const n = layers('softmax', prng, IMAGE)
  return n.finish(n.linear(n.flatten(n.input), 'fc', PIXELS, CLASSES, GLOROT), [CLASSES])
}

export function mlp(prng: Prng, { hidden = 128 } = {}): Uint8Array {
  const n = layers('mnist-mlp', prng, IMAGE)
  const x = n.relu(n.linear(n.flatten(n.input), 'fc1', PIXELS, hidden))
  return n.finish(n.linear(x, 'fc2', hidden, CLASSES, GLOROT), [CLASSES])
}

/** Relu after the pool: the same values, with a quarter of the work. */
export function cnn(prng: Prng): Uint8Array {
  const n = layers('mnist-cnn', prng, IMAGE)
  let x = n.relu(n.pool(n.conv(n.input, 'conv1', 1, 16, 5), 'MaxPool'))
  x = n.relu(n.pool(n.conv(x, 'conv2', 16, 32, 5), 'MaxPool'))
  return n.finish(n.linear(n.flatten(x), 'fc', 32 * 4 * 4, CLASSES, GLOROT), [CLASSES])
}

/** LeCun et al. 1998, on unpadded MNIST: tanh and average pools, and plain logits instead of radial basis functions. */
export function lenet5(prng: Prng): Uint8Array {
  const n = layers('lenet5', prng, IMAGE)
  const tanh = (x: string) => n.op('Tanh', [x])
  let x = n.pool(tanh(n.conv(n.input, 'conv1', 1, 6, 5, { pad: 2, ...GLOROT })), 'AveragePool')
  x = n.pool(tanh(n.conv(x, 'conv2', 6, 16, 5, GLOROT)), 'AveragePool')
  x = tanh(n.linear(n.flatten(x), 'fc1', 16 * 5 * 5, 120, GLOROT))
  x = tanh(n.linear(x, 'fc2', 120, 84, GLOROT))
  return n.finish(n.linear(x, 'fc3', 84, CLASSES, GLOROT), [CLASSES])
}
