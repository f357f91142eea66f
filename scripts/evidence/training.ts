// MNIST and a model, compiled by the product's own code, for experiments whose peers aggregate after every step: sessions of this
// thread, no protocol and no workers between them.

import { compileEvaluation, compileTraining, type InputOptions, loadModel, splitWeights } from '../../models/index.ts'
import { loadData, proposeSchema } from '../../node/data/load.ts'
import type { DataSet } from '../../node/data/spec.ts'
import { strided } from '../../node/train/batches.ts'
import { createSession, dataFeeds, floats, floatsOf, rows } from '../../node/train/session.ts'
import { manifestSchema } from '../../protocol/manifest.ts'

const LOSS = { kind: 'cross-entropy' } as const
/** Samples of an evaluation's run. */
const EVALUATION_BATCH = 100

/** PyTorch's `Normalize((0.1307,), (0.3081,))` after bytes became 0 to 1. */
export const NORMALIZED = { offset: 0.1307 * 255, scale: 1 / (255 * 0.3081) }
/** Bytes as 0 to 1. */
export const PLAIN = { offset: 0, scale: 1 / 255 }

export interface Mnist {
  train: DataSet
  test: DataSet
}

export interface TrainingOptions {
  /** A whole ONNX model. */
  model: Uint8Array
  batchSize: number
  momentum: number
  weightDecay?: number
  input: { offset: number; scale: number }
}

export interface State {
  params: Float32Array
  optimizer: Float32Array
}

export interface Training {
  /** The model's first parameters, with an optimizer at rest. */
  start(): State
  /** As many steps of PyTorch's SGD as `index`, rows of the training data, holds batches. */
  steps(state: State, index: Int32Array, learningRate: number): Promise<State>
  /** Percent of the test set, or of every so many-th of it, that is told right. */
  accuracy(params: Float32Array, samples?: number): Promise<number>
}

const SHAPE = [1, 28, 28]
const TARGET = { kind: 'class', size: 10, shape: [] } as const

export async function loadMnist(): Promise<Mnist> {
  const schema = await proposeSchema('mnist', {}, { input: 'float32', inputShape: SHAPE, target: 'class', classes: TARGET.size })
  const { train, test } = await loadData('mnist', schema, { validation: 0, seed: 0, withTest: true })
  if (test === undefined) throw new Error('MNIST came without its test set.')
  return { train, test }
}

export async function createTraining({ train, test }: Mnist, options: TrainingOptions): Promise<Training> {
  const { graph, params } = splitWeights(options.model)
  const model = loadModel(graph)
  const size = params.length
  const input: InputOptions = { dtype: 'uint8', shape: SHAPE, ...options.input }
  const target = { ...TARGET, shape: [] }
  const optimizer = manifestSchema.shape.optimizer.parse({
    kind: 'sgd',
    learningRate: 1,
    momentum: options.momentum,
    weightDecay: options.weightDecay ?? 0,
  })
  const common = { loss: LOSS, input, target }
  const session = { threads: 1, provider: 'cpu' }
  const trainings = new Map<number, ReturnType<typeof open>>()
  const evaluation = await createSession(compileEvaluation(model, { ...common, batchSize: EVALUATION_BATCH }), session)
  const testFeeds = dataFeeds(test, SHAPE, target)

  async function open(batchSize: number) {
    return createSession(compileTraining(model, { ...common, optimizer, batchSize }).bytes, session)
  }

  return {
    start: () => ({ params: params.slice(), optimizer: new Float32Array(options.momentum > 0 ? size : 0) }),
    async steps(state, index, learningRate) {
      // Epochs may end with a smaller batch: that is one step of its own.
      const batchSize = Math.min(options.batchSize, index.length)
      const count = index.length / batchSize
      const opened = trainings.get(batchSize) ?? open(batchSize)
      trainings.set(batchSize, opened)
      // Only what these steps read: onnxruntime would copy the whole set for each run.
      const result = await (await opened).run({
        ...dataFeeds(rowsOf(train, index), SHAPE, target),
        params: floats(state.params, size),
        optimizer: floats(state.optimizer, state.optimizer.length),
        index: rows(
          index.map((_, i) => i),
          count,
          batchSize,
        ),
        lr: floats(new Float32Array(count).fill(learningRate), count),
        halt: floats(new Float32Array(1)),
      })
      return { params: floatsOf(result.new_params), optimizer: floatsOf(result.new_optimizer) }
    },
    async accuracy(params, samples) {
      const chosen = strided(test.samples, samples)
      let right = 0
      for (let begin = 0; begin < chosen.length; begin += EVALUATION_BATCH) {
        const part = chosen.subarray(begin, begin + EVALUATION_BATCH)
        const index = new Int32Array(EVALUATION_BATCH)
        index.set(part)
        const result = await evaluation.run({ ...testFeeds, params: floats(params, size), index: rows(index, EVALUATION_BATCH) })
        for (const value of floatsOf(result.correct).subarray(0, part.length)) right += value
      }
      return (100 * right) / chosen.length
    },
  }
}

const PIXELS = 28 * 28

function rowsOf({ x, y }: DataSet, index: Int32Array): DataSet {
  const images = new Uint8Array(index.length * PIXELS)
  for (const [i, row] of index.entries()) images.set(x.subarray(row * PIXELS, (row + 1) * PIXELS), i * PIXELS)
  return { x: images, y: Int32Array.from(index, (row) => y[row]!), samples: index.length }
}
