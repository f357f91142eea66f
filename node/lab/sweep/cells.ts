// A cell for each combination of a grid's values and each seed, named by the hash of its options.
import { hash } from 'node:crypto'
import { isMurmurError, MurmurError } from '../../../protocol/errors.ts'
import { parseLabOptions } from '../run/options.ts'
import type { LabOptions } from '../run/types.ts'
import type { Axis, Cell, Scalar } from './types.ts'

/** Of the meaning of options: results under another one are not taken for the same. */
const VERSION = 1
/** Hex digits of a cell's name: 128 bits, as many as no two cells share by chance. */
const DIGITS = 32

/** The same for the same options, in whatever order they are. */
export function cellId(options: LabOptions): string {
  const entries = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1))
  return hash('sha256', JSON.stringify([VERSION, entries])).slice(0, DIGITS)
}

/** All ways to take a value of each axis, the last axis changing fastest. */
export function combinations(axes: readonly Axis[]): Record<string, Scalar>[] {
  return axes.reduce<Record<string, Scalar>[]>(
    (all, { key, values }) => all.flatMap((one) => values.map((value) => ({ ...one, [key]: value }))),
    [{}],
  )
}

/** @throws bad-config for values that are right each by itself and not together */
export function cellsOf(fixed: Readonly<Record<string, Scalar>>, axes: readonly Axis[], seeds: readonly number[]): Cell[] {
  return combinations(axes).flatMap((values) => {
    const labels = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]))
    return seeds.map((seed) => {
      const options = together({ seed, ...fixed, ...values })
      return { id: cellId(options), labels, options }
    })
  })
}

function together(values: Record<string, Scalar>): LabOptions {
  try {
    return parseLabOptions(values)
  } catch (error) {
    if (!isMurmurError(error)) throw error
    const named = Object.entries(values).map(([key, value]) => `${key} ${value}`)
    throw new MurmurError('bad-config', `The cell ${named.join(', ')} cannot be: ${error.message}`, { cause: error })
  }
}
