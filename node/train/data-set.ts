// The data sets of a trainer, and whether they are what the task says.
import { type InputOptions, isClasses, type LossOptions, type TargetOptions } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import type { DataSet } from '../data/spec.ts'

export interface DataSets {
  train: DataSet
  validation: DataSet
  test?: DataSet
}

export const SPLITS = ['train', 'validation', 'test'] as const
export type Split = (typeof SPLITS)[number]

/** Samples of an evaluation's run: larger ones are no faster for a small CNN, and their activations take memory. */
const EVALUATION_BATCH = 100

/** @param only the number that the model takes, where it takes one alone */
export const evaluationBatch = ({ samples }: DataSet, only?: number): number => only ?? Math.min(EVALUATION_BATCH, samples)

interface TaskData {
  input: InputOptions
  target: TargetOptions
  loss: LossOptions
}

/** @throws data-invalid if a set is not what the task says, or holds a label that the model cannot tell */
export function checkDataSet(name: Split, { x, y, samples }: DataSet, { input, target, loss }: TaskData): void {
  const wrong = (what: string) => new MurmurError('data-invalid', `The ${name} data ${what}.`)
  const dtype = x instanceof Uint8Array ? 'uint8' : x instanceof Int32Array ? 'int64' : 'float32'
  if (dtype !== input.dtype) throw wrong(`is ${dtype}, but the task takes ${input.dtype}`)
  if (samples < 1 && name === 'train') throw wrong('is empty; a peer needs samples to train on')
  const labels = sizeOf(target.shape)
  if (x.length !== samples * sizeOf(input.shape) || y.length !== samples * labels) {
    throw wrong(`has ${x.length} values and ${y.length} labels for ${samples} samples of shape [${input.shape.join(', ')}]`)
  }
  const at = (position: number) => `at sample ${Math.floor(position / labels)}`
  if (!isClasses(target)) {
    if (!(y instanceof Float32Array)) throw wrong(`has whole numbers as labels, but the task predicts ${target.kind}`)
    const isBad = target.kind === 'binary' ? (label: number) => !(label >= 0 && label <= 1) : (label: number) => !Number.isFinite(label)
    const bad = y.findIndex(isBad)
    if (bad >= 0)
      throw wrong(`has the label ${y[bad]} ${at(bad)}; ${target.kind === 'binary' ? 'labels go from 0 to 1' : 'labels are finite numbers'}`)
    return
  }
  if (!(y instanceof Int32Array)) throw wrong('has fractions as labels, but the task predicts classes')
  const bad = y.findIndex((label) => (label < 0 || label >= target.size) && label !== loss.ignoreIndex)
  if (bad >= 0) throw wrong(`has the label ${y[bad]} ${at(bad)}; the model tells ${target.size} classes, 0 to ${target.size - 1}`)
}
