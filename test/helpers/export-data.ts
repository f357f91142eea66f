// The data of test/models/exports/losses.json: what make.py trains on, in memory and as files that a user of NumPy would write.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { LossOptions, OptimizerOptions } from '../../models/index.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { f4, i8, npzFile } from '../data/npy-file.ts'
import type { Batch } from '../models/helpers.ts'

export interface ExportFixture {
  opsets: number[]
  input: { kind: 'uniform' | 'ids'; shape: number[]; size?: number; codes?: number }
  target: { kind: 'class' | 'tokens' | 'binary' | 'number'; shape: number[]; size: number; ignoreEvery?: number }
  loss: LossOptions
  optimizer: Pick<OptimizerOptions, 'kind' | 'learningRate'> & Partial<OptimizerOptions>
  batch: number
  trainable?: string[]
  /** True with dropout: no two libraries drop the same. */
  random?: boolean
  /** Mean loss over all samples before training, each step's loss, and the mean over all samples after the last. */
  before: number
  losses: number[]
  after: number
}

export const SAMPLES = 32
const IGNORED = -100

/** hashes() of make.py. */
function hash(i: number): number {
  let x = i
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}

const uniform = (hash: number): number => hash / 2 ** 30 - 2

/** inputs() and targets() of make.py. */
export function dataOf({ input, target }: ExportFixture): Batch {
  const columns = sizeOf(input.shape)
  const { codes = 0 } = input
  const x = Array.from({ length: SAMPLES * columns }, (_, i) =>
    input.kind === 'ids' || i % columns < codes ? hash(i) % input.size! : uniform(hash(i)),
  )
  const labels = SAMPLES * sizeOf(target.shape)
  const y = Array.from({ length: labels }, (_, i) => {
    const source = hash(Math.floor((i * x.length) / labels))
    if (target.kind === 'number') return uniform(source)
    if (target.kind === 'binary') return Number(source >= 2 ** 31)
    if (target.ignoreEvery !== undefined && (i + 1) % target.ignoreEvery === 0) return IGNORED
    return target.kind === 'tokens' ? source % target.size : Math.floor((source / 2 ** 32) * target.size)
  })
  return {
    x: input.kind === 'ids' ? Int32Array.from(x) : Float32Array.from(x),
    y: ['number', 'binary'].includes(target.kind) ? Float32Array.from(y) : Int32Array.from(y),
    shape: input.shape,
    labelShape: target.shape,
  }
}

export const exportFile = (name: string): string => fileURLToPath(new URL(`../models/exports/${name}`, import.meta.url))

export const exportFixture = (name: string): ExportFixture => JSON.parse(readFileSync(exportFile('losses.json'), 'utf8'))[name]

/** An .npz with the same, under the names given. */
export function exportNpz(fixture: ExportFixture, [xName, yName] = ['x', 'y']): Uint8Array {
  const { x, y, shape, labelShape = [] } = dataOf(fixture)
  const write = (numbers: Float32Array | Int32Array, dims: readonly number[]) =>
    (numbers instanceof Int32Array ? i8 : f4)([SAMPLES, ...dims], Array.from(numbers))
  return npzFile({ [xName]: write(x, shape), [yName]: write(y, labelShape) })
}
