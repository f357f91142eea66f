// A directory with IDX files: images and labels to train on, and a test set where there is one (`t10k-…` or `test-…`).
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { readIdx } from './idx.ts'
import type { DataFormat, DataSource, RawSamples } from './spec.ts'

/** `train-images-idx3-ubyte`, `train-images.idx3-ubyte.gz`, `emnist-letters-train-labels-idx1-ubyte`, `scans-images.idx3-float`, ... */
const NAME = /^(?<set>.*?)[-_.]?(?<what>images|labels)(?:[-_.]idx\d*)?(?:[-_.](?:ubyte|int|float))?(?<packed>\.gz)?$/i
const TEST_SET = /(^|[-_.])(t10k|test)$/i

interface Pair {
  images?: string
  labels?: string
}

export const idxDirectory: DataFormat = {
  usage: 'a directory with IDX files (train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or .gz)',
  async open(spec) {
    const path = resolve(spec)
    const names = await namesIn(path)
    return names === undefined ? undefined : openIdxDirectory(path, names, path)
  },
}

/** @param name for people @throws data-missing, data-invalid */
export function openIdxDirectory(path: string, files: readonly string[], name: string): DataSource {
  const sets = new Map<string, Pair>()
  // Plain files first: where both are there, nothing needs unpacking.
  for (const file of [...files].sort((x, y) => Number(/\.gz$/i.test(x)) - Number(/\.gz$/i.test(y)) || (x < y ? -1 : 1))) {
    const { set = '', what = '' } = NAME.exec(file)?.groups ?? {}
    if (what === '') continue
    const pair = sets.get(set) ?? {}
    pair[what.toLowerCase() as keyof Pair] ??= join(path, file)
    sets.set(set, pair)
  }
  const train = onlyOne([...sets].filter(([set]) => !TEST_SET.test(set)))
  const test = onlyOne([...sets].filter(([set]) => TEST_SET.test(set)))
  if (train === undefined) {
    throw new MurmurError(
      'data-missing',
      `${path} holds no IDX files to train on; needed are train-images-idx3-ubyte and train-labels-idx1-ubyte.`,
    )
  }
  const [images, labels] = whole(train)
  const source: DataSource = { name, train: () => readPair(images, labels) }
  if (test === undefined) return source
  const [testImages, testLabels] = whole(test)
  return { ...source, test: () => readPair(testImages, testLabels) }

  function onlyOne(found: [string, Pair][]): Pair | undefined {
    if (found.length <= 1) return found[0]?.[1]
    const names = found.map(([set]) => `"${set}"`).join(' and ')
    throw new MurmurError('data-invalid', `${path} holds several data sets, ${names}; put the one to use in a directory of its own.`)
  }

  function whole({ images, labels }: Pair): [string, string] {
    if (images !== undefined && labels !== undefined) return [images, labels]
    const missing = images === undefined ? 'images' : 'labels'
    throw new MurmurError('data-missing', `${images ?? labels} has no file with its ${missing} beside it; add it.`)
  }
}

/** @throws data-missing, data-invalid */
async function readPair(inputsFrom: string, labelsFrom: string): Promise<RawSamples> {
  const [images, labels] = await Promise.all([readIdx(inputsFrom), readIdx(labelsFrom)])
  const [samples = 0, ...sampleShape] = images.shape
  if (images.data instanceof Int32Array) {
    throw new MurmurError('data-invalid', `${inputsFrom} holds int32 values; inputs must be uint8 or float32.`)
  }
  if (labels.data instanceof Float32Array || labels.shape.length !== 1) {
    throw new MurmurError('data-invalid', `${labelsFrom} must hold one whole number a sample, and its shape is ${labels.shape.join('x')}.`)
  }
  if (labels.data.length !== samples) {
    throw new MurmurError('data-invalid', `${inputsFrom} holds ${samples} samples, but ${labelsFrom} ${labels.data.length} labels.`)
  }
  return { x: images.data, y: Int32Array.from(labels.data), samples, sampleShape, inputsFrom, labelsFrom }
}

/** Names in a directory; undefined where `path` is no directory. @throws data-missing */
export async function namesIn(path: string): Promise<string[] | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return undefined
    return await readdir(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new MurmurError('data-missing', `There is no data at ${path}; check the path.`, { cause })
    }
    throw new MurmurError('data-missing', `The data at ${path} cannot be read (${code ?? String(cause)}); check its permissions.`, {
      cause,
    })
  }
}
