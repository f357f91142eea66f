// The safetensors format (https://github.com/huggingface/safetensors#format), float32 only: an 8-byte little-endian header length,
// a JSON header {name: {dtype, shape, data_offsets}, __metadata__: {text: text}}, and the tensors' bytes without a gap.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'

export interface NamedTensor {
  name: string
  shape: readonly number[]
  data: Float32Array
}

export interface Safetensors {
  metadata: Record<string, string>
  tensors: Map<string, NamedTensor>
}

/** Bytes of a header: the largest layout with its longest names takes about 5 MiB. */
const MAX_HEADER_BYTES = 16 * 1024 * 1024
const LENGTH_BYTES = 8
const FLOAT_BYTES = 4
const METADATA = '__metadata__'
const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/**
 * The file as parts to be written one after the other: the header, then a view of each tensor's floats, which are not copied.
 * @throws model-invalid for a tensor whose name the format reserves, bad-argument where a shape and its data differ
 */
export function encodeSafetensors(tensors: readonly NamedTensor[], metadata: Record<string, string>): Uint8Array[] {
  const entries: [string, unknown][] = [[METADATA, metadata]]
  let end = 0
  for (const { name, shape, data } of tensors) {
    if (name === METADATA) throw new MurmurError('model-invalid', `A tensor is named "${name}", which checkpoints reserve; rename it.`)
    if (sizeOf(shape) !== data.length) {
      throw new MurmurError('bad-argument', `The tensor "${name}" of shape [${shape}] has ${data.length} values, not ${sizeOf(shape)}.`)
    }
    entries.push([name, { dtype: 'F32', shape, data_offsets: [end, end + data.byteLength] }])
    end += data.byteLength
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  // Spaces after the JSON let the data begin at a multiple of eight, so that readers can use it where it lies.
  const header = new Uint8Array(LENGTH_BYTES + Math.ceil(json.length / LENGTH_BYTES) * LENGTH_BYTES).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - LENGTH_BYTES), true)
  header.set(json, LENGTH_BYTES)
  return [header, ...tensors.map(({ data }) => bytesOf(data))]
}

/**
 * Reads a file's bytes; where the machine allows it the tensors are views of them. Every offset, shape and length is checked first.
 * @param file its name, for the error
 * @throws directory-invalid
 */
export function decodeSafetensors(bytes: Uint8Array, file: string): Safetensors {
  const invalid = (why: string) => new MurmurError('directory-invalid', `${file} is not a usable safetensors file: ${why}.`)
  if (bytes.length < LENGTH_BYTES) throw invalid(`it has only ${bytes.length} bytes`)
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const start = LENGTH_BYTES + headerBytes
  if (headerBytes > MAX_HEADER_BYTES || start > bytes.length) throw invalid(`its header of ${headerBytes} bytes does not fit`)
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, start))
  if (header === undefined) throw invalid('its header is not a JSON object')

  const metadata = header[METADATA] ?? {}
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) throw invalid('its metadata is not text')
  const entries = Object.entries(header).filter(([name]) => name !== METADATA)
  if (entries.length > LIMITS.layoutTensors + 1) throw invalid(`it has ${entries.length} tensors`)
  const found = entries.map(([name, entry]) => {
    const fields = readEntry(entry)
    if (typeof fields === 'string') throw invalid(`the tensor "${name}" ${fields}`)
    return { name, ...fields }
  })
  // As in the reference implementation, the tensors in order of offset cover the data exactly: no gap, no overlap, nothing beyond.
  let end = 0
  for (const { name, begin, bytes: length } of found.sort((x, y) => x.begin - y.begin || x.bytes - y.bytes)) {
    if (begin !== end) throw invalid(`the tensor "${name}" begins at byte ${begin} instead of ${end}`)
    end += length
  }
  if (end !== bytes.length - start) throw invalid(`it has ${bytes.length - start} bytes of data instead of ${end}`)
  const tensors = found.map(({ name, shape, begin, bytes: length }): [string, NamedTensor] => {
    const data = floatsOf(bytes.subarray(start + begin, start + begin + length))
    return [name, { name, shape, data }]
  })
  return { metadata: metadata as Record<string, string>, tensors: new Map(tensors) }
}

function readEntry(entry: unknown): { shape: number[]; begin: number; bytes: number } | string {
  if (!isRecord(entry)) return 'has no description'
  const { dtype, shape, data_offsets: offsets } = entry
  if (dtype !== 'F32') return `has the type ${JSON.stringify(dtype)}, not F32`
  if (!isCounts(shape) || shape.length > LIMITS.tensorRank) return 'has a bad shape'
  if (!isCounts(offsets) || offsets.length !== 2) return 'has bad offsets'
  const [begin = 0, end = 0] = offsets
  if (end - begin !== sizeOf(shape) * FLOAT_BYTES) return `has ${end - begin} bytes for the shape [${shape}]`
  return { shape, begin, bytes: end - begin }
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const header: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return isRecord(header) ? header : undefined
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)

/** Little-endian bytes of floats, without a copy where the machine is little-endian, as all that run Node in practice are. */
function bytesOf(data: Float32Array): Uint8Array {
  if (littleEndian) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const bytes = new Uint8Array(data.byteLength)
  const view = new DataView(bytes.buffer)
  data.forEach((value, i) => {
    view.setFloat32(i * FLOAT_BYTES, value, true)
  })
  return bytes
}

function floatsOf(bytes: Uint8Array): Float32Array {
  if (littleEndian && bytes.byteOffset % FLOAT_BYTES === 0) {
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / FLOAT_BYTES)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Float32Array.from({ length: bytes.length / FLOAT_BYTES }, (_, i) => view.getFloat32(i * FLOAT_BYTES, true))
}
