// What the training benchmark measures: models, batch sizes, and the ratios that are its goals.
import type { InputOptions, TargetOptions } from '../../../models/index.ts'
import { gpt } from '../../../models/zoo/gpt.ts'
import { cnn, mlp, softmax } from '../../../models/zoo/images.ts'
import { GLOROT, layers } from '../../../models/zoo/layers.ts'
import { createPrng, type Prng } from '../../../protocol/prng.ts'

/** The others that train the same models, by the names that goals use. */
export const BASELINES = ['torch', 'torch-default', 'tfjs-wasm', 'tfjs-cpu'] as const
export type Baseline = (typeof BASELINES)[number]

export interface Case {
  model: ModelName
  batch: number
  /** How many times as fast as a baseline a step should be. */
  goals: Partial<Record<Baseline, number>>
}

export const CASES: readonly Case[] = [
  { model: 'softmax', batch: 32, goals: { torch: 1.1 } },
  { model: 'mlp', batch: 32, goals: { torch: 1.1, 'tfjs-wasm': 15 } },
  { model: 'mlp', batch: 128, goals: { torch: 1.1, 'tfjs-wasm': 15 } },
  { model: 'cnn', batch: 32, goals: { torch: 0.95, 'tfjs-cpu': 1000 } },
  { model: 'cnn', batch: 128, goals: { torch: 0.95 } },
  { model: 'cnn-padded', batch: 32, goals: { torch: 0.95, 'torch-default': 0.95 } },
  { model: 'cnn-padded', batch: 128, goals: { torch: 0.95, 'torch-default': 0.95 } },
  { model: 'cifar-cnn', batch: 32, goals: { torch: 0.95 } },
  { model: 'gpt', batch: 8, goals: { torch: 1.1 } },
  { model: 'gpt', batch: 32, goals: { torch: 1.1 } },
]

interface Bench {
  build(prng: Prng): Uint8Array
  /** One sample: an image, or tokens of a text. */
  shape: number[]
}

const VOCABULARY = 65
const CONTEXT = 64
const CLASSES = 10

const MODELS = {
  softmax: { build: softmax, shape: [1, 28, 28] },
  mlp: { build: mlp, shape: [1, 28, 28] },
  cnn: { build: cnn, shape: [1, 28, 28] },
  'cnn-padded': { build: twoConvolutions([1, 16, 32], { kernel: 5, pad: 2, image: 28 }), shape: [1, 28, 28] },
  'cifar-cnn': { build: twoConvolutions([3, 32, 64], { kernel: 3, pad: 1, image: 32 }), shape: [3, 32, 32] },
  gpt: { build: (prng) => gpt(prng, { vocabulary: VOCABULARY, context: CONTEXT, layers: 2, heads: 4, width: 64 }), shape: [CONTEXT] },
} as const satisfies Record<string, Bench>

export type ModelName = keyof typeof MODELS

/** Convolutions that keep the image's size, each with its pool and its Relu, and one layer. */
function twoConvolutions(channels: number[], { kernel, pad, image }: { kernel: number; pad: number; image: number }) {
  return (prng: Prng): Uint8Array => {
    const n = layers('cnn', prng, [channels[0]!, image, image])
    let x = n.input
    for (const [i, to] of channels.slice(1).entries()) {
      x = n.relu(n.pool(n.conv(x, `conv${i}`, channels[i]!, to, kernel, { pad }), 'MaxPool'))
    }
    const size = channels.at(-1)! * (image / 4) ** 2
    return n.finish(n.linear(n.flatten(x), 'fc', size, CLASSES, GLOROT), [CLASSES])
  }
}

export interface Task {
  /** A whole ONNX model. */
  bytes: Uint8Array
  input: InputOptions
  target: TargetOptions
  data: { x: Float32Array | Int32Array; y: Int32Array; samples: number }
}

/** Samples of a data set: enough that batches are gathered from all over memory. */
const SAMPLES = 2000

/** Its multiples fall evenly between 0 and 1. */
const GOLDEN = (Math.sqrt(5) - 1) / 2

/** `values` filled with numbers from 0 up to `below`. A plain loop is ten times as fast as from() with a function. */
function spread<T extends Float32Array | Int32Array>(values: T, below: number): T {
  for (let i = 0; i < values.length; i++) values[i] = below * ((i * GOLDEN) % 1)
  return values
}

/** The model with made-up samples: a step's time does not depend on their values. */
export function taskOf(name: ModelName): Task {
  const { build, shape } = MODELS[name]
  const sample = [...shape]
  const size = sample.reduce((product, dim) => product * dim, SAMPLES)
  const bytes = build(createPrng(name))
  const ids = (length: number, below: number) => spread(new Int32Array(length), below)
  const task = (dtype: InputOptions['dtype'], target: TargetOptions, x: Task['data']['x'], y: Int32Array): Task => ({
    bytes,
    input: { dtype, shape: sample, scale: 1, offset: 0 },
    target,
    data: { x, y, samples: SAMPLES },
  })
  return name === 'gpt'
    ? task('int64', { kind: 'tokens', size: VOCABULARY, shape: sample }, ids(size, VOCABULARY), ids(size, VOCABULARY))
    : task('float32', { kind: 'class', size: CLASSES, shape: [] }, spread(new Float32Array(size), 1), ids(SAMPLES, CLASSES))
}
