// An array as files of data hold it, and its values as a task takes them: bytes, floats, or whole numbers.
import { endianness } from 'node:os'
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import type { DataSchema } from './spec.ts'

const TYPES = {
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  float16: Float16Array,
  float32: Float32Array,
  float64: Float64Array,
} as const
export type ArrayType = keyof typeof TYPES
type Values =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float16Array
  | Float32Array
  | Float64Array

export interface NdArray {
  type: ArrayType
  /** The number of samples first. */
  shape: number[]
  /** Row-major. */
  values: Values
  /** Where it came from, for errors. */
  from: string
  /** Where these are some rows of it: how many lie before them. */
  first?: number
}

export const byteSize = (type: ArrayType): number => TYPES[type].BYTES_PER_ELEMENT

/** Values from their bytes: a view where they lie as the machine wants them, else a copy. */
export function valuesOf(type: ArrayType, bytes: Uint8Array, order: 'LE' | 'BE'): Values {
  const size = byteSize(type)
  const foreign = size > 1 && order !== endianness()
  const own = foreign || bytes.byteOffset % size !== 0 ? Uint8Array.from(bytes) : bytes
  if (foreign) {
    const words = Buffer.from(own.buffer, own.byteOffset, own.byteLength)
    if (size === 2) words.swap16()
    else if (size === 4) words.swap32()
    else words.swap64()
  }
  return new TYPES[type](own.buffer as ArrayBuffer, own.byteOffset, bytes.length / size)
}

/** Inputs as the task's `dtype` takes them; bytes stay bytes for float32 too, until they are gathered. @throws data-invalid */
export function inputValues(array: NdArray, dtype: DataSchema['input']['dtype']): Uint8Array | Float32Array | Int32Array {
  const { type, values, from } = array
  if (dtype === 'int64') return wholeNumbers(array)
  if (dtype === 'float32') return values instanceof Uint8Array ? values : floats(values)
  if (values instanceof Uint8Array) return values
  if (type.startsWith('float')) throw new MurmurError('data-invalid', `${from} holds ${type} values, but the task takes uint8.`)
  const at = values.findIndex((value: number | bigint) => value < 0 || value > 255)
  if (at >= 0) throw new MurmurError('data-invalid', `${from} holds ${values[at]} as value ${at}, but the task takes bytes, 0 to 255.`)
  return Uint8Array.from(values as ArrayLike<number | bigint>, Number)
}

/** @throws data-invalid for a number with a fraction, or one that int32 does not hold */
export function wholeNumbers({ values, shape, from, first = 0 }: NdArray): Int32Array {
  if (values instanceof Int32Array) return values
  const whole = new Int32Array(values.length)
  for (let i = 0; i < whole.length; i++) {
    const value = Number(values[i])
    whole[i] = value
    if (whole[i] !== value) {
      const sample = first + Math.floor(i / sizeOf(shape.slice(1)))
      throw new MurmurError('data-invalid', `${from} holds ${value} in sample ${sample}, but whole numbers of 32 bits are needed.`)
    }
  }
  return whole
}

export function floats(values: Values): Float32Array {
  if (values instanceof Float32Array) return values
  if (!(values instanceof BigInt64Array || values instanceof BigUint64Array)) return new Float32Array(values)
  const out = new Float32Array(values.length)
  for (let i = 0; i < out.length; i++) out[i] = Number(values[i])
  return out
}
