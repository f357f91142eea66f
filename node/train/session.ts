// onnxruntime sessions as the trainer uses them. Every run blocks its thread: for worker threads only.
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { isClasses, type TargetOptions } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { DataSet } from '../data/spec.ts'

export interface SessionOptions {
  /** Threads of one run. */
  threads: number
  /** onnxruntime's execution provider, such as cpu, cuda, coreml, dml, webgpu. */
  provider: string
}

/** @throws model-invalid if onnxruntime refuses the graph or does not have the provider */
export async function createSession(graph: Uint8Array, { threads, provider }: SessionOptions): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(graph, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // Not 'all': its CPU-specific layouts are converted to and fro around every pool, which costs more than they save.
      graphOptimizationLevel: 'extended',
      // Its kernel takes four times as long as the Add and LayerNormalization that it replaces.
      extra: { optimization: { disable_specified_optimizers: 'SkipLayerNormFusion' } },
      logSeverityLevel: 3,
    })
  } catch (cause) {
    const where = provider === 'cpu' ? 'onnxruntime' : `onnxruntime with the execution provider "${provider}"`
    throw new MurmurError('model-invalid', `${where} refuses the model: ${(cause as Error).message}`, { cause })
  }
}

export const floats = (data: Float32Array, ...dims: number[]): Tensor => new Tensor('float32', data, dims)

export const rows = (data: Int32Array, ...dims: number[]): Tensor => new Tensor('int32', data, dims)

const tensorOf = (data: DataSet['x'], dims: number[]): Tensor =>
  data instanceof Uint8Array ? new Tensor('uint8', data, dims) : data instanceof Int32Array ? rows(data, ...dims) : floats(data, ...dims)

/** The feeds `x` and `y`, which look at the data in place. */
export const dataFeeds = ({ x, y, samples }: DataSet, shape: readonly number[], target: TargetOptions): { x: Tensor; y: Tensor } => ({
  x: tensorOf(x, [samples, ...shape]),
  y: isClasses(target) ? rows(y as Int32Array, samples, ...target.shape) : floats(y as Float32Array, samples, ...target.shape),
})

/** A float output that is the caller's to keep. */
export const floatsOf = (tensor: Tensor | undefined): Float32Array => tensor!.data as Float32Array
