// What the curves show: one row a round, kept as columns, as charts and JSON take them. Bounded: the oldest rounds go first.
import type { RoundHistory } from '../store/history.ts'

/** Rounds that are kept. */
export const ROUNDS_KEPT = 5000
/** Rounds beyond that until the oldest are dropped: moving columns for each new round would cost more. */
const SLACK = 250

/** `others*` is the accuracy that others have told; `distance*` from the own model to others'. Each is the 10th, 50th or 90th percentile. */
export const COLUMNS = [
  ...['round', 'at', 'trainLoss', 'loss', 'accuracy', 'othersLow', 'othersMedian', 'othersHigh'],
  ...['distanceLow', 'distanceMedian', 'distanceHigh', 'accepted', 'trimmed', 'rejected', 'influence', 'trainSeconds', 'aggregateSeconds'],
] as const

export type Column =
  | ('round' | 'at' | 'trainLoss' | 'loss' | 'accuracy' | 'othersLow' | 'othersMedian' | 'othersHigh' | 'distanceLow')
  | ('distanceMedian' | 'distanceHigh' | 'accepted' | 'trimmed' | 'rejected' | 'influence' | 'trainSeconds' | 'aggregateSeconds')
export type Row = Partial<Record<Column, number | undefined>> & { round: number }
export type Columns = Record<Column, (number | null)[]>

export interface Rounds {
  readonly columns: Columns
  /** Adds to the row of a round, or begins it; returns the row as it is now, in the order of COLUMNS. */
  put(row: Row): (number | null)[]
}

export function createRounds(history: readonly RoundHistory[] = []): Rounds {
  const columns = Object.fromEntries(COLUMNS.map((name) => [name, []])) as unknown as Columns

  /** Where the round is, or belongs. */
  function indexOf(round: number): number {
    const rounds = columns.round as number[]
    let at = rounds.length
    // Nearly always the last or the one before.
    while (at > 0 && rounds[at - 1]! >= round) at--
    return at
  }

  function put(row: Row): (number | null)[] {
    const at = indexOf(row.round)
    if (columns.round[at] !== row.round) for (const name of COLUMNS) columns[name].splice(at, 0, null)
    for (const name of COLUMNS) {
      const value = row[name]
      // JSON knows no NaN, and a chart draws none.
      if (value !== undefined) columns[name][at] = Number.isFinite(value) ? value : null
    }
    const now = COLUMNS.map((name) => columns[name][at] ?? null)
    if (columns.round.length > ROUNDS_KEPT + SLACK) for (const name of COLUMNS) columns[name].splice(0, SLACK)
    return now
  }

  for (const { rule: _, f: __, ...row } of history.slice(-ROUNDS_KEPT)) put(row)
  return { columns, put }
}

/** The 10th, 50th and 90th percentile of what is finite; nothing where nothing is. */
export function spreadOf(values: readonly (number | undefined)[]): { low?: number; median?: number; high?: number } {
  const sorted = values.filter((value): value is number => value !== undefined && Number.isFinite(value)).sort((a, b) => a - b)
  if (sorted.length === 0) return {}
  return { low: quantile(sorted, 0.1), median: quantile(sorted, 0.5), high: quantile(sorted, 0.9) }
}

/** Between neighbours, linear: as NumPy's default. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1)
  const below = Math.floor(at)
  const left = sorted[below]!
  return left + (at - below) * ((sorted[below + 1] ?? left) - left)
}
