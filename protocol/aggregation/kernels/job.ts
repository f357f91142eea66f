// Jobs: a pass over the stripe in memory, cut into parts that threads may do in any order. Doing a part again changes nothing.
import { GRAIN, type Layout, MOST_PARTS } from './layout.ts'

export type Pass =
  /** Decodes the rows and holds them to their bounds. */
  | { kind: 'load' }
  /** Weighted sum of the rows, or per coordinate the mean of those that are not cut off, into the row after the last. */
  | { kind: 'combine' }
  | { kind: 'trim'; trim: number; sampled: number }
  /** Squared distances of all pairs, or of each row from one of them, from the point in the row after the last, or from zero. */
  | { kind: 'pairs'; wide: boolean }
  | { kind: 'from'; center: number | 'point' | 'zero'; wide: boolean }

export interface Job {
  pass: Pass
  layout: Layout
  /** How many mixed rows stand for the rows; 0: the rows themselves. */
  mixed: number
  /** The stripe's first coordinate, and coordinates to visit of it. */
  start: number
  width: number
}

const partWidth = (width: number): number => GRAIN * Math.ceil(width / MOST_PARTS / GRAIN)

export const partsOf = ({ width }: Job): number => (width === 0 ? 0 : Math.ceil(width / partWidth(width)))

/** Coordinates within the stripe. */
export function rangeOf({ width }: Job, part: number): { from: number; to: number } {
  const from = part * partWidth(width)
  return { from, to: Math.min(width, from + partWidth(width)) }
}
