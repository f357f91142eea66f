// A directory with IDX files: images and labels to train on, and a test set where there is one (`t10k-…` or `test-…`).
import { join, resolve } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { arraySource, INPUT_NAME, LABEL_NAME } from './array-source.ts'
import { namesIn, readStart } from './file.ts'
import { IDX_HEADER_BYTES, isGzipped, parseIdxHeader, readIdx } from './idx.ts'
import type { NdArray } from './nd-array.ts'
import type { DataFormat, DataSource, Selection } from './spec.ts'
import { openArray, type StoredArray } from './stored-array.ts'

/** `train-images-idx3-ubyte`, `train-images.idx3-ubyte.gz`, `emnist-letters-train-labels-idx1-ubyte`, `scans-images.idx3-float`, ... */
const NAME = /^(?<set>.*?)[-_.]?(?<what>images|labels)(?:[-_.]idx\d*)?(?:[-_.](?:ubyte|int|float))?(?<packed>\.gz)?$/i
const TEST_SET = /(^|[-_.])(t10k|test)$/i

interface Pair {
  images?: string
  labels?: string
}

export const idxDirectory: DataFormat = {
  usage: 'a directory with IDX files (train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or .gz)',
  async open(spec, selection) {
    const path = resolve(spec)
    const names = await namesIn(path)
    return names === undefined ? undefined : openIdxDirectory(path, names, path, selection)
  },
}

/**
 * The images are the array `x`, the labels `y`, and of the test set `x_test` and `y_test`.
 * @param name for people
 * @throws data-missing, data-invalid
 */
export function openIdxDirectory(path: string, files: readonly string[], name: string, selection: Selection): DataSource {
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
  const arrays = new Map<string, string>()
  const add = (pair: Pair, suffix: string) => {
    const [images, labels] = whole(pair)
    arrays.set(INPUT_NAME + suffix, images).set(LABEL_NAME + suffix, labels)
  }
  add(train, '')
  if (test !== undefined) add(test, '_test')
  return arraySource(
    {
      ...{ name, path, names: [...arrays.keys()] },
      read: (array) => readArray(arrays.get(array)!),
      open: (array) => openIdx(arrays.get(array)!),
    },
    selection,
  )

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

async function readArray(path: string): Promise<NdArray> {
  const { shape, data } = await readIdx(path)
  const type = data instanceof Uint8Array ? 'uint8' : data instanceof Int32Array ? 'int32' : 'float32'
  return { type, shape, values: data, from: path }
}

/** Undefined for a packed one. */
async function openIdx(path: string): Promise<StoredArray | undefined> {
  const { bytes, fileBytes } = await readStart(path, IDX_HEADER_BYTES)
  return isGzipped(bytes) ? undefined : openArray(path, parseIdxHeader(bytes, fileBytes, path))
}
