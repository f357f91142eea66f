// NumPy's .npy format (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), versions 1 to 3: a magic text, a version,
// the header's length, and the header, a Python literal {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }; then the values.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { type ArrayType, byteSize, type NdArray, valuesOf } from './nd-array.ts'
import type { ArrayHeader } from './stored-array.ts'

const MAGIC = '\x93NUMPY'
const VERSION_AT = MAGIC.length
const LENGTH_AT = VERSION_AT + 2
/** Bytes of a header; NumPy refuses longer ones too, since only structured types need them. */
const MAX_HEADER_BYTES = 10_000
const TYPES: Record<string, ArrayType> = {
  ...{ b1: 'bool', u1: 'uint8', i1: 'int8', u2: 'uint16', i2: 'int16', u4: 'uint32', i4: 'int32' },
  ...{ u8: 'uint64', i8: 'int64', f2: 'float16', f4: 'float32', f8: 'float64' },
}

/** Bytes in which any header ends. */
export const NPY_HEADER_BYTES = LENGTH_AT + 4 + MAX_HEADER_BYTES

/** @param from for errors @throws data-invalid */
export function parseNpy(bytes: Uint8Array, from: string): NdArray {
  const { type, shape, start, order, fortran } = parseNpyHeader(bytes, bytes.length, from)
  const values = valuesOf(type, bytes.subarray(start), order)
  return { type, shape, values: fortran && shape.length > 1 ? rowMajor(values, shape) : values, from }
}

/** @param bytes the file's beginning, or all of it @param fileBytes how many it has @param from for errors @throws data-invalid */
export function parseNpyHeader(bytes: Uint8Array, fileBytes: number, from: string): ArrayHeader & { fortran: boolean } {
  const invalid = (why: string) => new MurmurError('data-invalid', `${from} is not a usable .npy array: ${why}.`)
  if (bytes.length === 0) throw invalid('it is empty')
  if (!MAGIC.split('').every((char, i) => bytes[i] === char.charCodeAt(0))) throw invalid('it does not begin as one')
  const version = bytes[VERSION_AT] ?? 0
  if (version < 1 || version > 3) throw invalid(`it has version ${version}, and 1 to 3 are read`)
  const start = LENGTH_AT + (version === 1 ? 2 : 4)
  if (bytes.length < start) throw invalid(`it ends within its header, after ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const length = version === 1 ? view.getUint16(LENGTH_AT, true) : view.getUint32(LENGTH_AT, true)
  if (length > MAX_HEADER_BYTES) throw invalid(`its header has ${length} bytes, and at most ${MAX_HEADER_BYTES} are read`)
  const end = start + length
  if (bytes.length < end) throw invalid(`it ends within its header, after ${bytes.length} bytes`)

  const header = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(start, end))
  // Python 2 wrote 3L for 3.
  const shapeText = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(header)?.[1]?.replaceAll('L', '')
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1]
  const descr = /'descr'\s*:\s*('[^']*'|\[)/.exec(header)?.[1]
  if (shapeText === undefined || fortran === undefined || descr === undefined) throw invalid('its header does not describe an array')
  const [, order = '', code = ''] = /^'([<>|=]?)([a-zA-Z]\w*)'$/.exec(descr) ?? []
  if (code.startsWith('O')) throw invalid('it holds Python objects, which are not read; save numbers')
  const type = Object.hasOwn(TYPES, code) ? TYPES[code] : undefined
  if (type === undefined)
    throw invalid(`its values have the type ${descr === '[' ? 'of a structure' : descr}, and numbers and booleans are read`)
  const shape = shapeText.split(',').flatMap((dim) => (dim.trim() === '' ? [] : [Number(dim)]))
  // One dimension more than a tensor's: the samples.
  if (shape.length > LIMITS.tensorRank + 1 || shape.some((dim) => !Number.isSafeInteger(dim))) throw invalid(`its shape is (${shapeText})`)
  const count = sizeOf(shape)
  if (fileBytes - end !== count * byteSize(type)) {
    throw invalid(`${shape.join('x')} values of ${type} take ${count * byteSize(type)} bytes, and it has ${fileBytes - end}`)
  }
  return { type, shape, start: end, order: order === '>' ? 'BE' : 'LE', from, fortran: fortran === 'True' }
}

/** From first dimension fastest to last dimension fastest. */
function rowMajor<T extends NdArray['values']>(values: T, shape: readonly number[]): T {
  const out = values.slice() as T
  const strides = shape.map((_, axis) => sizeOf(shape.slice(0, axis)))
  const index = new Array<number>(shape.length).fill(0)
  let at = 0
  for (let i = 0; i < out.length; i++) {
    out[i] = values[at]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!
      if (++index[axis]! < shape[axis]!) break
      at -= strides[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
  return out
}
