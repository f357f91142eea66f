// Builds .npy, .npz and .safetensors files for tests.
import { zipSync } from 'fflate'

export interface NpyOptions {
  fortran?: boolean
  version?: 1 | 2 | 3
}

/** @param descr as NumPy writes it: `<f4`, `|u1` */
export function npyFile(
  descr: string,
  shape: readonly number[],
  data: ArrayBufferView,
  { fortran = false, version = 1 }: NpyOptions = {},
): Buffer {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const header = `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${dims}), }\n`
  const length = Buffer.alloc(version === 1 ? 2 : 4)
  length.writeUInt16LE(header.length)
  const start = Buffer.concat([Buffer.from('\x93NUMPY', 'latin1'), Buffer.of(version, 0), length, Buffer.from(header)])
  return Buffer.concat([start, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)])
}

export const f4 = (shape: readonly number[], values: readonly number[]): Buffer => npyFile('<f4', shape, Float32Array.from(values))
export const u1 = (shape: readonly number[], values: readonly number[]): Buffer => npyFile('|u1', shape, Uint8Array.from(values))
export const i8 = (shape: readonly number[], values: readonly number[]): Buffer => npyFile('<i8', shape, BigInt64Array.from(values, BigInt))
/** Of float64, a row each. */
export const matrix = (rows: readonly number[][]): Buffer => npyFile('<f8', [rows.length, rows[0]!.length], Float64Array.from(rows.flat()))

export const npzFile = (arrays: Record<string, Uint8Array>): Uint8Array =>
  zipSync(Object.fromEntries(Object.entries(arrays).map(([name, bytes]) => [`${name}.npy`, new Uint8Array(bytes)])))

export function safetensorsFile(tensors: Record<string, [dtype: string, shape: readonly number[], data: ArrayBufferView]>): Buffer {
  let end = 0
  const entries = Object.entries(tensors).map(([name, [dtype, shape, data]]) => {
    const begin = end
    end += data.byteLength
    return [name, { dtype, shape, data_offsets: [begin, end] }]
  })
  const header = Buffer.from(JSON.stringify({ __metadata__: { made: 'for a test' }, ...Object.fromEntries(entries) }))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const bytes = Object.values(tensors).map(([, , data]) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return Buffer.concat([length, header, ...bytes])
}
