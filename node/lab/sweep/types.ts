// What a sweep is: a grid of the lab's options, a cell for each combination, and what became of each cell.
import type { LabHooks, LabOptions, LabResult } from '../run/types.ts'

export type Scalar = string | number | boolean

export interface Axis {
  key: string
  values: readonly Scalar[]
}

/** What of a result is shown, and which of two values is the better one. */
export const VALUES = {
  'final.accuracy.mean': { is: 'mean test accuracy of the honest peers', share: true, more: true },
  'final.accuracy.worst': { is: 'test accuracy of the worst honest peer', share: true, more: true },
  'final.accuracy.best': { is: 'test accuracy of the best honest peer', share: true, more: true },
  'final.accuracy.spread': { is: "standard deviation of the honest peers' test accuracies", share: true, more: false },
  'final.loss.mean': { is: 'mean test loss of the honest peers', share: false, more: false },
  'final.loss.worst': { is: 'test loss of the worst honest peer', share: false, more: false },
  'final.meanModelAccuracy': { is: 'test accuracy of the mean of the honest models', share: true, more: true },
  'final.success': { is: "success rate of the attack's backdoor", share: true, more: false },
  'final.seconds': { is: 'seconds of a run', share: false, more: false },
} as const

export type ValueName = keyof typeof VALUES

/** Which axes a table lies along; a sheet for each combination of the rest. */
export interface Layout {
  rows: string
  columns: string
  sheets: readonly string[]
  value: ValueName
}

export interface Cell {
  /** Hash of the options: names the cell's file. */
  id: string
  /** The values on the axes, as text; `seed` is among them only where it is an axis of its own. */
  labels: Readonly<Record<string, string>>
  options: LabOptions
}

/** A grid file, read and checked. */
export interface Plan {
  name: string
  /** What all cells share, as the file says it. */
  fixed: Readonly<Record<string, Scalar>>
  axes: readonly Axis[]
  /** Each cell once for each of them; a table shows the mean. */
  seeds: readonly number[]
  layout: Layout
  cells: readonly Cell[]
}

export type Outcome =
  | { state: 'done'; result: LabResult }
  /** There are too few peers for what the rule shall withstand. */
  | { state: 'refused'; why: string }
  | { state: 'failed'; why: string }

/** What makes a cell's result: the lab, in this process or another. */
export type RunCell = (options: LabOptions, hooks: LabHooks) => Promise<LabResult>
