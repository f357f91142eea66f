// The IDX format of MNIST and its kin (http://yann.lecun.com/exdb/mnist): two zero bytes, a type, the number of dimensions,
// each dimension as a big-endian uint32, then the values, big-endian, last dimension fastest. Plain or gzipped.
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { MurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { MAX_FILE_BYTES, readBounded } from './file.ts'
import { type ArrayType, byteSize, valuesOf } from './nd-array.ts'
import type { ArrayHeader } from './stored-array.ts'

export interface IdxArray {
  /** The outermost dimension, the number of samples, first. */
  shape: number[]
  /** A view of what was read, or for other types than bytes a copy in the machine's byte order. */
  data: Uint8Array | Int32Array | Float32Array
}

const TYPES: Record<number, ArrayType> = { 8: 'uint8', 12: 'int32', 13: 'float32' }
const FIXED_BYTES = 4
const DIM_BYTES = 4
const GZIP_MAGIC = [0x1f, 0x8b]
const unzip = promisify(gunzip)

/** @throws data-missing where the file cannot be read, data-invalid where it is not IDX, limit-exceeded */
export async function readIdx(path: string): Promise<IdxArray> {
  const packed = await readBounded(path)
  if (!isGzipped(packed)) return parseIdx(packed, path)
  let bytes: Buffer
  try {
    bytes = await unzip(packed, { maxOutputLength: MAX_FILE_BYTES })
  } catch (cause) {
    throw new MurmurError('data-invalid', `${path} cannot be unpacked (${(cause as Error).message}); download it again.`, { cause })
  }
  return parseIdx(bytes, path)
}

/** @param path for errors @throws data-invalid */
export function parseIdx(bytes: Uint8Array, path: string): IdxArray {
  const { type, shape, start, order } = parseIdxHeader(bytes, bytes.length, path)
  const values = bytes.subarray(start)
  return { shape, data: type === 'uint8' ? values : (valuesOf(type, values, order) as IdxArray['data']) }
}

/** Bytes in which any header ends. */
export const IDX_HEADER_BYTES = FIXED_BYTES + DIM_BYTES * (LIMITS.tensorRank + 1)

export const isGzipped = (bytes: Uint8Array): boolean => GZIP_MAGIC.every((byte, i) => bytes[i] === byte)

/** @param bytes the file's beginning, or all of it @param fileBytes how many it has @param path for errors @throws data-invalid */
export function parseIdxHeader(bytes: Uint8Array, fileBytes: number, path: string): ArrayHeader {
  const invalid = (why: string) => new MurmurError('data-invalid', `${path} is not a usable IDX file: ${why}.`)
  if (bytes.length === 0) throw invalid('it is empty')
  if (bytes.length < FIXED_BYTES) throw invalid(`it has only ${bytes.length} bytes`)
  const [zero, alsoZero, code = 0, rank = 0] = bytes
  if (zero !== 0 || alsoZero !== 0) throw invalid('it does not begin with two zero bytes')
  const type = TYPES[code]
  if (type === undefined) throw invalid(`its values have type ${code}, and 8 (uint8), 12 (int32) and 13 (float32) are read`)
  // One dimension more than a tensor's: the samples.
  if (rank < 1 || rank > LIMITS.tensorRank + 1) throw invalid(`it has ${rank} dimensions`)
  const start = FIXED_BYTES + rank * DIM_BYTES
  if (bytes.length < start) throw invalid(`it ends within its header, after ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(FIXED_BYTES + i * DIM_BYTES))
  const count = shape.reduce((product, dim) => product * dim, 1)
  if (count === 0) throw invalid(`it holds nothing (${shape.join('x')})`)
  if (fileBytes - start !== count * byteSize(type)) {
    throw invalid(`${shape.join('x')} values of ${type} take ${count * byteSize(type)} bytes, and it has ${fileBytes - start}`)
  }
  return { type, shape, start, order: 'BE', from: path }
}
