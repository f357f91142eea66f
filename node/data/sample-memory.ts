// Samples in memory as the type that a task takes, shared with worker threads where they are to be trained on.
import { sizeOf } from '../../protocol/layout.ts'
import type { DataSchema, DataSet, RawSamples } from './spec.ts'

type Shapes = Pick<RawSamples, 'sampleShape' | 'labelShape'>

/** Room for values of inputs and of labels. Token ids and classes lie as int32: none is larger, and workers widen them where a graph wants int64. */
export function taskArrays(
  { input, target }: DataSchema,
  inputs: number,
  labels: number,
  Memory: ArrayBufferConstructor | SharedArrayBufferConstructor = ArrayBuffer,
): Pick<DataSet, 'x' | 'y'> {
  const x = new Memory(inputs * (input.dtype === 'uint8' ? 1 : Float32Array.BYTES_PER_ELEMENT))
  const y = new Memory(labels * Float32Array.BYTES_PER_ELEMENT)
  return {
    x: input.dtype === 'uint8' ? new Uint8Array(x) : input.dtype === 'int64' ? new Int32Array(x) : new Float32Array(x),
    y: target.kind === 'class' || target.kind === 'tokens' ? new Int32Array(y) : new Float32Array(y),
  }
}

/** Room for samples, shared. */
export const sharedSet = (schema: DataSchema, { sampleShape, labelShape }: Shapes, samples: number): DataSet => ({
  ...taskArrays(schema, samples * sizeOf(sampleShape), samples * sizeOf(labelShape), SharedArrayBuffer),
  samples,
})

/** Copies the chosen samples into shared memory. */
export function gather(raw: RawSamples, indices: Int32Array, schema: DataSchema): DataSet {
  const set = sharedSet(schema, raw, indices.length)
  takeRows(raw.x, indices, set.x, sizeOf(raw.sampleShape))
  takeRows(raw.y, indices, set.y, sizeOf(raw.labelShape))
  return set
}

/** Copies the rows of `size` values at `indices` to the beginning of `to`. */
export function takeRows(from: RawSamples['x'], indices: Int32Array, to: RawSamples['x'], size: number): void {
  // A view for each single value would cost more than the value.
  if (size === 1) for (let i = 0; i < indices.length; i++) to[i] = from[indices[i]!]!
  else for (let i = 0; i < indices.length; i++) to.set(from.subarray(indices[i]! * size, (indices[i]! + 1) * size), i * size)
}
