// The models of the published experiments, with the initial weights that PyTorch gives them.
import { type Init, uniform } from '../../models/zoo/init.ts'
import { type Layers, layers } from '../../models/zoo/layers.ts'
import { createPrng } from '../../protocol/prng.ts'

/** PyTorch's default for Linear and Conv2d: uniform within 1 / sqrt(fan in); its biases are drawn alike, ours start at zero. */
const torch: Init = (prng, count, fanIn, fanOut) => uniform(1 / Math.sqrt(fanIn))(prng, count, fanIn, fanOut)
const INIT = { init: torch }
const IMAGE = [1, 28, 28]
const PIXELS = 28 * 28
const CLASSES = 10

type Build = (n: Layers) => string

const MODELS = {
  /** 784-128-10. */
  mlp: (n) => n.linear(n.relu(n.linear(n.flatten(n.input), 'fc1', PIXELS, 128, INIT)), 'fc2', 128, CLASSES, INIT),
  /** Two convolutions 5x5 of so many channels, each with its pool, and layers of so many units: PyTorch's Flower baseline. */
  'lenet-6-16-120-84': (n) => convolutions(n, [6, 16], [120, 84]),
  /** byzfl's `cnn_mnist` with fewer channels and no hidden layer. */
  'cnn-16-32': (n) => convolutions(n, [16, 32], []),
} as const satisfies Record<string, Build>

export type ModelName = keyof typeof MODELS

/** Relu after the pool: the same values, with a quarter of the work. */
function convolutions(n: Layers, channels: readonly [number, number], hidden: readonly number[]): string {
  const [first, second] = channels
  let x = n.relu(n.pool(n.conv(n.input, 'conv1', 1, first, 5, INIT), 'MaxPool'))
  x = n.relu(n.pool(n.conv(x, 'conv2', first, second, 5, INIT), 'MaxPool'))
  return dense(n, n.flatten(x), second * 4 ** 2, hidden)
}

function dense(n: Layers, x: string, from: number, hidden: readonly number[]): string {
  let width = from
  for (const [i, to] of hidden.entries()) {
    x = n.relu(n.linear(x, `fc${i + 1}`, width, to, INIT))
    width = to
  }
  return n.linear(x, 'out', width, CLASSES, INIT)
}

export function modelOf(name: ModelName, seed: number): Uint8Array {
  const n = layers(name, createPrng(`${seed} ${name}`), IMAGE)
  return n.finish(MODELS[name](n), [CLASSES])
}
