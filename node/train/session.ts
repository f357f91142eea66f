// onnxruntime sessions as the trainer uses them. Every run blocks its thread: for worker threads only.
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { MurmurError } from '../../protocol/errors.ts'
import type { DataSet } from './data-set.ts'

/** @throws model-invalid if onnxruntime refuses the graph */
export async function createSession(graph: Uint8Array, threads: number): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(graph, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // Not 'all': its CPU-specific layouts are converted to and fro around every pool, which costs more than they save.
      graphOptimizationLevel: 'extended',
      logSeverityLevel: 3,
    })
  } catch (cause) {
    throw new MurmurError('model-invalid', `onnxruntime refuses the model: ${(cause as Error).message}`, { cause })
  }
}

export const floats = (data: Float32Array, ...dims: number[]): Tensor => new Tensor('float32', data, dims)

export const rows = (data: Int32Array, ...dims: number[]): Tensor => new Tensor('int32', data, dims)

/** The feeds `x` and `y`, which look at the data in place. */
export function dataFeeds({ x, y, samples }: DataSet, shape: readonly number[]): { x: Tensor; y: Tensor } {
  const dims = [samples, ...shape]
  return {
    x: x instanceof Uint8Array ? new Tensor('uint8', x, dims) : new Tensor('float32', x, dims),
    y: y instanceof Int32Array ? new Tensor('int32', y, [samples]) : new Tensor('int64', y, [samples]),
  }
}

/** A float output that is the caller's to keep. */
export const floatsOf = (tensor: Tensor | undefined): Float32Array => tensor!.data as Float32Array
