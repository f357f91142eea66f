// The data of test/models/exports/losses.json as files: what make.py trains on, written as a user of NumPy would.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sizeOf } from '../../protocol/layout.ts'
import { f4, i8, npzFile } from '../data/npy-file.ts'

export interface ExportFixture {
  opsets: number[]
  input: { kind: 'uniform' | 'ids'; shape: number[]; size?: number }
  target: { kind: 'class' | 'tokens' | 'binary' | 'number'; shape: number[]; size: number }
  loss: { kind: string; huberDelta?: number }
  optimizer: { kind: string; learningRate: number; momentum?: number; nesterov?: boolean; weightDecay?: number }
  batch: number
  losses: number[]
}

const SAMPLES = 32

/** hashes() of make.py. */
function hash(i: number): number {
  let x = i
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}

const uniform = (hash: number): number => hash / 2 ** 30 - 2

export const exportFile = (name: string): string => fileURLToPath(new URL(`../models/exports/${name}`, import.meta.url))

export const exportFixture = (name: string): ExportFixture => JSON.parse(readFileSync(exportFile('losses.json'), 'utf8'))[name]

/** An .npz with inputs() and targets() of make.py, under the names given. */
export function exportNpz({ input, target }: ExportFixture, [x, y] = ['x', 'y']): Uint8Array {
  const columns = sizeOf(input.shape)
  const labels = SAMPLES * sizeOf(target.shape)
  const values = Array.from({ length: SAMPLES * columns }, (_, i) => (input.kind === 'ids' ? hash(i) % input.size! : uniform(hash(i))))
  const targets = Array.from({ length: labels }, (_, i) => {
    const source = hash(Math.floor((i * values.length) / labels))
    if (target.kind === 'number') return uniform(source)
    if (target.kind === 'binary') return Number(source >= 2 ** 31)
    return target.kind === 'tokens' ? source % target.size : Math.floor((source / 2 ** 32) * target.size)
  })
  const write = (numbers: number[], shape: number[], isWhole: boolean) => (isWhole ? i8 : f4)([SAMPLES, ...shape], numbers)
  return npzFile({
    [x]: write(values, input.shape, input.kind === 'ids'),
    [y]: write(targets, target.shape, ['class', 'tokens'].includes(target.kind)),
  })
}
