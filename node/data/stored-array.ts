// An array as it lies in a file, its values plain bytes one after the other, of which any rows can be read without the rest.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { MAX_FILE_BYTES, openFile, readFull } from './file.ts'
import { type ArrayType, byteSize, type NdArray, valuesOf } from './nd-array.ts'

/** What a file's header says of an array. */
export interface ArrayHeader {
  type: ArrayType
  /** The number of samples first. */
  shape: number[]
  /** Where its values begin in the file. */
  start: number
  order: 'LE' | 'BE'
  /** Where it came from, for errors. */
  from: string
}

export interface StoredArray extends Omit<ArrayHeader, 'start' | 'order'>, AsyncDisposable {
  /** Rows from `begin` up to `end`. @throws data-missing, data-invalid */
  rows(begin: number, end: number): Promise<NdArray>
}

/** An array that is in memory already. */
export const inMemory = (array: NdArray): StoredArray => ({
  ...array,
  async rows(begin, end) {
    const size = sizeOf(array.shape.slice(1))
    return {
      ...array,
      shape: [end - begin, ...array.shape.slice(1)],
      values: array.values.subarray(begin * size, end * size),
      first: begin,
    }
  },
  async [Symbol.asyncDispose]() {},
})

/** @throws data-missing */
export async function openArray(path: string, { start, order, ...array }: ArrayHeader): Promise<StoredArray> {
  const file = await openFile(path)
  const { type, shape, from } = array
  const rowBytes = sizeOf(shape.slice(1)) * byteSize(type)
  return {
    ...array,
    async rows(begin, end) {
      const bytes = new Uint8Array((end - begin) * rowBytes)
      await readFull(file, bytes, start + begin * rowBytes, from)
      return { ...array, shape: [end - begin, ...shape.slice(1)], values: valuesOf(type, bytes, order), first: begin }
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}

/** All of it. @throws limit-exceeded, data-missing, data-invalid */
export async function readRows({ rows, type, shape, from }: StoredArray): Promise<NdArray> {
  const bytes = sizeOf(shape) * byteSize(type)
  if (bytes > MAX_FILE_BYTES) {
    throw new MurmurError('limit-exceeded', `${from} has ${bytes} bytes; at most ${MAX_FILE_BYTES} are read at once: use less of it.`)
  }
  const { values } = await rows(0, shape[0] ?? 1)
  return { type, shape, values, from }
}
