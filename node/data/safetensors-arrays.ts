// Arrays of any of safetensors' number types (https://github.com/huggingface/safetensors#format), for data; checkpoints, which hold
// float32 and come from this program, are read by node/store/safetensors.ts.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { type ArrayType, byteSize } from './nd-array.ts'
import type { ArrayHeader } from './stored-array.ts'

export const SAFETENSORS_LENGTH_BYTES = 8
const METADATA = '__metadata__'
const TYPES: Record<string, ArrayType> = {
  ...{ BOOL: 'bool', U8: 'uint8', I8: 'int8', U16: 'uint16', I16: 'int16', U32: 'uint32', I32: 'int32' },
  ...{ U64: 'uint64', I64: 'int64', F16: 'float16', F32: 'float32', F64: 'float64' },
}

/** Bytes of a header, as the format's own library bounds it. */
const MAX_HEADER_BYTES = 100_000_000

export interface SafetensorsHeader {
  names: string[]
  /** @throws data-invalid for an array whose description is wrong, or of another type */
  describe(name: string): ArrayHeader
}

/** Bytes of the header with its length, of a file that begins so. */
export function safetensorsHeaderBytes(bytes: Uint8Array): number {
  if (bytes.length < SAFETENSORS_LENGTH_BYTES) return bytes.length
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
  return SAFETENSORS_LENGTH_BYTES + Math.min(Number(length), MAX_HEADER_BYTES)
}

/** @param bytes the file's beginning with its whole header, or all of it @param fileBytes how many it has @param path for errors @throws data-invalid */
export function parseSafetensorsHeader(bytes: Uint8Array, fileBytes: number, path: string): SafetensorsHeader {
  const invalid = (why: string) => new MurmurError('data-invalid', `${path} is not a usable safetensors file: ${why}.`)
  if (bytes.length === 0) throw invalid('it is empty')
  if (bytes.length < SAFETENSORS_LENGTH_BYTES) throw invalid(`it has only ${bytes.length} bytes`)
  const headerBytes = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
  const start = SAFETENSORS_LENGTH_BYTES + Number(headerBytes)
  if (start > bytes.length) throw invalid(`its header of ${headerBytes} bytes does not fit`)
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(SAFETENSORS_LENGTH_BYTES, start)))
  } catch {
    throw invalid('its header is not JSON')
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw invalid('its header is not a JSON object')
  const entries = new Map<string, unknown>(Object.entries(header).filter(([name]) => name !== METADATA))
  return {
    names: [...entries.keys()],
    describe(name) {
      const { dtype, shape, data_offsets: offsets } = (entries.get(name) ?? {}) as Record<string, unknown>
      const type = typeof dtype === 'string' && Object.hasOwn(TYPES, dtype) ? TYPES[dtype] : undefined
      if (type === undefined)
        throw invalid(`"${name}" has the type ${JSON.stringify(dtype)}, and ${Object.keys(TYPES).join(', ')} are read`)
      // One dimension more than a tensor's: the samples.
      if (!isCounts(shape) || shape.length > LIMITS.tensorRank + 1) throw invalid(`"${name}" has a bad shape`)
      if (!isCounts(offsets) || offsets.length !== 2) throw invalid(`"${name}" has bad offsets`)
      const [begin = 0, end = 0] = offsets
      const size = sizeOf(shape) * byteSize(type)
      if (end - begin !== size || start + end > fileBytes) {
        throw invalid(`"${name}" lies at bytes ${begin} to ${end}, and ${shape.join('x')} values of ${type} take ${size}`)
      }
      return { type, shape, start: start + begin, order: 'LE', from: `"${name}" of ${path}` }
    },
  }
}

const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)
