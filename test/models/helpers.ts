// What the tests of models/ share: small graphs with seeded weights, and running them in onnxruntime.
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { type Builder, createBuilder } from '../../models/builder.ts'
import { floatTensor, TYPE } from '../../models/graph.ts'
import {
  compileEvaluation,
  compileTraining,
  type InputOptions,
  type LossOptions,
  loadModel,
  type OptimizerOptions,
  optimizerSize,
  splitWeights,
} from '../../models/index.ts'
import { encodeModel } from '../../models/serialize.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { manifestSchema } from '../../protocol/manifest.ts'
import { createPrng, type Prng } from '../../protocol/prng.ts'

export const LOSS: LossOptions = { kind: 'cross-entropy' }

export const sgd = (options: Partial<OptimizerOptions> = {}): OptimizerOptions =>
  manifestSchema.shape.optimizer.parse({ kind: 'sgd', learningRate: 1, ...options })

export const rawInput = (shape: readonly number[]): InputOptions => ({ dtype: 'float32', shape: [...shape], scale: 1, offset: 0 })

export const normals = (prng: Prng, count: number, deviation = 1): Float32Array =>
  Float32Array.from({ length: count }, () => deviation * prng.normal())

export interface Parts {
  b: Builder
  /** A trainable tensor of normal values around `mean`. */
  weight(name: string, dims: number[], mean?: number): string
}

/** A model on `shape` whose output is `build`'s value. */
export function buildModel(shape: readonly number[], build: (parts: Parts, input: string) => string, seed = 1): Uint8Array {
  const prng = createPrng(seed)
  const b = createBuilder()
  const output = build(
    {
      b,
      weight(name, dims, mean = 0) {
        const values = normals(prng, sizeOf(dims), 0.5).map((value) => value + mean)
        b.constants.set(name, floatTensor(values, dims))
        return name
      },
    },
    'input',
  )
  return encodeModel({
    name: 'test',
    inputs: [{ name: 'input', type: TYPE.float32, dims: ['batch', ...shape] }],
    outputs: [{ name: output, type: TYPE.float32, dims: ['batch', 'classes'] }],
    nodes: b.nodes,
    constants: b.constants,
  })
}

export async function session(bytes: Uint8Array): Promise<InferenceSession> {
  return InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 })
}

export const floats = (data: ArrayLike<number>, ...dims: number[]): Tensor => new Tensor('float32', Float32Array.from(data), dims)

/** Logits of a whole model for samples `x`. */
export async function infer(model: Uint8Array, x: Float32Array, shape: readonly number[]): Promise<Float32Array> {
  const run = await session(model)
  const result = await run.run({ [run.inputNames[0]!]: floats(x, x.length / sizeOf(shape), ...shape) })
  return result[run.outputNames[0]!]!.data as Float32Array
}

export interface Batch {
  x: Float32Array
  y: Int32Array
  shape: readonly number[]
}

/** Trains a whole model in onnxruntime: one run over `index`, a row of samples for each step. */
export async function train(
  model: Uint8Array,
  { x, y, shape }: Batch,
  index: readonly (readonly number[])[],
  options: {
    optimizer?: OptimizerOptions
    loss?: LossOptions
    rates?: readonly number[]
    from?: { params: Float32Array; state: Float32Array }
  } = {},
): Promise<{ params: Float32Array; state: Float32Array; losses: Float32Array }> {
  const { optimizer = sgd(), loss = LOSS, rates = index.map(() => optimizer.learningRate) } = options
  const { graph, layout, params } = splitWeights(model)
  const batchSize = index[0]!.length
  const bytes = compileTraining(loadModel(graph), { layout, loss, optimizer, input: rawInput(shape), batchSize, labels: 'int32' })
  const run = await session(bytes)
  const from = options.from ?? { params, state: new Float32Array(optimizerSize(optimizer, params.length)) }
  const result = await run.run({
    params: floats(from.params, params.length),
    optimizer: floats(from.state, from.state.length),
    x: floats(x, y.length, ...shape),
    y: new Tensor('int32', y, [y.length]),
    index: new Tensor('int32', Int32Array.from(index.flat()), [index.length, batchSize]),
    lr: floats(rates, rates.length),
    ...(optimizer.proximal > 0 && { anchor: floats(params, params.length) }),
  })
  const output = (name: string) => (result[name]!.data as Float32Array).slice()
  return { params: output('new_params'), state: output('new_optimizer'), losses: output('losses') }
}

/** Per-sample losses and correctness of a whole model over all samples. */
export async function evaluate(model: Uint8Array, { x, y, shape }: Batch): Promise<{ losses: Float32Array; correct: Uint8Array }> {
  const { graph, layout, params } = splitWeights(model)
  const input = rawInput(shape)
  const run = await session(compileEvaluation(loadModel(graph), { layout, loss: LOSS, input, batchSize: y.length, labels: 'int32' }))
  const result = await run.run({
    params: floats(params, params.length),
    x: floats(x, y.length, ...shape),
    y: new Tensor('int32', y, [y.length]),
    index: new Tensor(
      'int32',
      Int32Array.from(y, (_, i) => i),
      [y.length],
    ),
  })
  return { losses: result.losses!.data as Float32Array, correct: result.correct!.data as Uint8Array }
}

/** Equal bit for bit. tap's strictSame takes minutes on arrays of this size. */
export const sameBits = (a: ArrayBufferView, b: ArrayBufferView): boolean =>
  Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer, b.byteOffset, b.byteLength)) === 0
