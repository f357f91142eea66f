// Samples in memory that trainer and worker share without copying.

import type { InputOptions, LabelType } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'

export interface DataSet {
  /** [samples, ...input.shape], raw as the manifest's data.input describes it; best over a SharedArrayBuffer. */
  x: Uint8Array | Float32Array
  /** Class numbers, [samples]. */
  y: Int32Array | BigInt64Array
  samples: number
}

export interface DataSets {
  train: DataSet
  validation: DataSet
  test?: DataSet
}

export const SPLITS = ['train', 'validation', 'test'] as const
export type Split = (typeof SPLITS)[number]

export const labelType = (y: DataSet['y']): LabelType => (y instanceof Int32Array ? 'int32' : 'int64')

/** @throws data-invalid if a set is not what the task's input says, or holds a label that is not one of `classes` */
export function checkDataSet(name: Split, { x, y, samples }: DataSet, input: InputOptions, classes: number): void {
  const wrong = (what: string) => new MurmurError('data-invalid', `The ${name} data ${what}.`)
  const dtype = x instanceof Uint8Array ? 'uint8' : 'float32'
  if (dtype !== input.dtype) throw wrong(`is ${dtype}, but the task takes ${input.dtype}`)
  if (samples < 1 && name === 'train') throw wrong('is empty; a peer needs samples to train on')
  if (x.length !== samples * sizeOf(input.shape) || y.length !== samples) {
    throw wrong(`has ${x.length} values and ${y.length} labels for ${samples} samples of shape [${input.shape.join(', ')}]`)
  }
  const bad = y.findIndex((label: number | bigint) => label < 0 || label >= classes)
  if (bad >= 0) throw wrong(`has the label ${y[bad]} at sample ${bad}; the model tells ${classes} classes, 0 to ${classes - 1}`)
}
