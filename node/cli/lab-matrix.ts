// The matrix that the lab's commands work on: an .npy file whose rows are vectors.
import { readFile } from 'node:fs/promises'
import { MurmurError } from '../../protocol/errors.ts'
import { parseNpy } from '../data/npy.ts'

/** @throws data-invalid with the file's name, where it is missing, empty, or no matrix of numbers */
export async function readRows(file: string): Promise<Float64Array[]> {
  const invalid = (why: string, cause?: unknown) => new MurmurError('data-invalid', `${file} ${why}.`, { cause })
  const bytes = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw invalid(cause.code === 'ENOENT' ? 'does not exist; give an .npy file' : `cannot be read: ${cause.message}`, cause)
  })
  const { type, shape, values } = parseNpy(bytes, file)
  const [rows = 0, columns = 0] = shape
  if (shape.length !== 2 || rows === 0 || columns === 0) {
    throw invalid(`has the shape (${shape.join(', ')}); give a matrix of at least one row and one column`)
  }
  if (type === 'bool') throw invalid('holds booleans; give numbers, such as float64')
  const numbers = Float64Array.from(values, Number)
  return Array.from({ length: rows }, (_, i) => numbers.subarray(i * columns, (i + 1) * columns))
}
