// What the tests of models/ share: small graphs with seeded weights, and running them in onnxruntime.
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { type Builder, createBuilder } from '../../models/builder.ts'
import { floatTensor, TYPE } from '../../models/graph.ts'
import {
  classesOf,
  compileEvaluation,
  compileTraining,
  type InputOptions,
  type LossOptions,
  loadModel,
  type OptimizerOptions,
  type SplitOptions,
  splitWeights,
  type TargetOptions,
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
  /** int32: token ids. */
  x: Float32Array | Int32Array
  y: Int32Array | Float32Array
  /** Shape of one sample, and of its labels (default: a single one). */
  shape: readonly number[]
  labelShape?: readonly number[]
}

export interface TrainOptions {
  optimizer?: OptimizerOptions
  loss?: LossOptions
  rates?: readonly number[]
  seeds?: readonly number[]
  split?: SplitOptions
  from?: { params: Float32Array; state: Float32Array }
}

/** What a task would say of a batch. */
export function taskOf(
  graph: Uint8Array,
  { x, shape, labelShape = [] }: Batch,
  loss: LossOptions,
): { input: InputOptions; target: TargetOptions } {
  const input: InputOptions = { ...rawInput(shape), dtype: x instanceof Int32Array ? 'int64' : 'float32' }
  const kind = loss.kind === 'bce' ? 'binary' : loss.kind !== 'cross-entropy' ? 'number' : labelShape.length > 0 ? 'tokens' : 'class'
  const size = classesOf(graph, loss, input, { kind, shape: [...labelShape] }) ?? sizeOf(labelShape)
  return { input, target: { kind, size, shape: [...labelShape] } }
}

/** The feeds x and y. */
export function dataFeeds({ x, y, shape, labelShape = [] }: Batch): { x: Tensor; y: Tensor } {
  const samples = x.length / sizeOf(shape)
  const tensor = (values: Float32Array | Int32Array, dims: number[]) =>
    values instanceof Int32Array ? new Tensor('int32', values, dims) : new Tensor('float32', values, dims)
  return { x: tensor(x, [samples, ...shape]), y: tensor(y, [samples, ...labelShape]) }
}

/** Trains a whole model in onnxruntime: one run over `index`, a row of samples for each step. */
export async function train(
  model: Uint8Array,
  batch: Batch,
  index: readonly (readonly number[])[],
  options: TrainOptions = {},
): Promise<{ params: Float32Array; state: Float32Array; losses: Float32Array }> {
  const { optimizer = sgd(), loss = LOSS, rates = index.map(() => optimizer.learningRate), seeds = index.map((_, i) => i) } = options
  const { graph, params } = splitWeights(model, options.split)
  const batchSize = index[0]!.length
  const compiled = compileTraining(loadModel(graph), { loss, optimizer, batchSize, ...taskOf(graph, batch, loss) })
  const run = await session(compiled.bytes)
  const from = options.from ?? { params, state: new Float32Array(compiled.optimizerSize) }
  const result = await run.run({
    params: floats(from.params, params.length),
    optimizer: floats(from.state, from.state.length),
    ...dataFeeds(batch),
    index: new Tensor('int32', Int32Array.from(index.flat()), [index.length, batchSize]),
    lr: floats(rates, rates.length),
    halt: floats([0]),
    ...(compiled.random && { seeds: new Tensor('int64', BigInt64Array.from(seeds, BigInt), [seeds.length]) }),
    ...(optimizer.proximal > 0 && { anchor: floats(params, params.length) }),
  })
  const output = (name: string) => (result[name]!.data as Float32Array).slice()
  return { params: output('new_params'), state: output('new_optimizer'), losses: output('losses') }
}

/** The evaluation graph's outputs of a whole model over all samples, with other parameters where given. */
export async function evaluate(
  model: Uint8Array,
  batch: Batch,
  { loss = LOSS, from, split }: { loss?: LossOptions; from?: Float32Array; split?: SplitOptions } = {},
): Promise<Record<string, Float32Array>> {
  const { graph, params } = splitWeights(model, split)
  const samples = batch.x.length / sizeOf(batch.shape)
  const run = await session(compileEvaluation(loadModel(graph), { loss, batchSize: samples, ...taskOf(graph, batch, loss) }))
  const result = await run.run({
    params: floats(from ?? params, params.length),
    ...dataFeeds(batch),
    index: new Tensor(
      'int32',
      Int32Array.from({ length: samples }, (_, i) => i),
      [samples],
    ),
  })
  return Object.fromEntries(Object.entries(result).map(([name, tensor]) => [name, tensor.data as Float32Array]))
}

export const total = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0)

/** The largest difference from what is expected. */
export const furthest = (values: ArrayLike<number>, expected: readonly number[]): number =>
  Math.max(...expected.map((value, i) => Math.abs(values[i]! - value)))

/** Equal bit for bit. tap's strictSame takes minutes on arrays of this size. */
export const sameBits = (a: ArrayBufferView, b: ArrayBufferView): boolean =>
  Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer, b.byteOffset, b.byteLength)) === 0
