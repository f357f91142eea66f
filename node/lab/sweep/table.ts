// The table of a sweep: rows by columns, a sheet for each combination of the other axes, means over the seeds, and the worst of each row.
import { mean } from '../../cli/format.ts'
import type { LabOptions } from '../run/types.ts'
import { combinations } from './cells.ts'
import { type Cell, type Outcome, type Plan, VALUES, type ValueName } from './types.ts'

export interface TableCell {
  state: Outcome['state']
  /** Over the seeds that were done. Not finite where training diverged. */
  mean?: number
  /** Standard deviation over the seeds, where there are several. */
  spread?: number
  /** Why one was refused or failed, in a sentence. */
  why?: string
  /** Among the best of its column. */
  best?: true
}

export interface Row {
  label: string
  /** One a column. */
  cells: TableCell[]
  /** The worst of them, where all were done. */
  worst?: TableCell
}

export interface Sheet {
  /** The values on the axes that are neither rows nor columns. */
  labels: Record<string, string>
  rows: Row[]
}

export interface Table {
  columns: string[]
  sheets: Sheet[]
}

/** @param outcomes what became of every cell, by its id */
export function tableOf({ layout, axes, cells }: Plan, outcomes: ReadonlyMap<string, Outcome>): Table {
  const { more } = VALUES[layout.value]
  // An option that is no axis has one value.
  const along = (key: string) =>
    axes.find((axis) => axis.key === key)?.values.map(String) ?? [
      String(cells[0]!.options[key as keyof LabOptions] ?? (key === 'attack' ? 'none' : 'default')),
    ]
  const placeOf = (labels: Readonly<Record<string, string>>) => JSON.stringify(axes.map(({ key }) => labels[key]))
  const places = Map.groupBy(cells, ({ labels }) => placeOf(labels))
  const columns = along(layout.columns)
  const sheets = combinations(axes.filter(({ key }) => layout.sheets.includes(key))).map((values): Sheet => {
    const labels = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]))
    const rows = along(layout.rows).map((row): Row => {
      const cells = columns.map((column) =>
        summary(places.get(placeOf({ ...labels, [layout.rows]: row, [layout.columns]: column }))!, outcomes, layout.value),
      )
      const worst = cells.every(({ state }) => state === 'done') ? cells.toSorted((a, b) => compare(a, b, more)).at(-1) : undefined
      return { label: row, cells, ...(worst && { worst: { ...worst } }) }
    })
    const lines = [...columns.map((_, i) => rows.map(({ cells }) => cells[i])), rows.map(({ worst }) => worst)]
    for (const line of lines) markBest(line, more)
    return { labels, rows }
  })
  return { columns, sheets }
}

/** A cell of the table is one of the grid for each seed. */
function summary(cells: readonly Cell[], outcomes: ReadonlyMap<string, Outcome>, name: ValueName): TableCell {
  const all = cells.map(({ id }) => outcomes.get(id)!)
  const bad = all.find(({ state }) => state === 'failed') ?? all.find(({ state }) => state === 'refused')
  if (bad !== undefined && bad.state !== 'done') return { state: bad.state, why: bad.why }
  const values = all.map((outcome) => (outcome.state === 'done' ? valueAt(outcome.result, name) : Number.NaN))
  const middle = mean(values)
  const spread =
    values.length > 1 ? Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1)) : undefined
  return { state: 'done', mean: middle, ...(spread !== undefined && { spread }) }
}

/** What JSON has no number for, and a result that has no such value, is none. */
export function valueAt(result: object, name: ValueName): number {
  const value = name.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], result)
  return typeof value === 'number' ? value : Number.NaN
}

/** The better one first; what diverged last. */
function compare(a: TableCell, b: TableCell, more: boolean): number {
  const [x = Number.NaN, y = Number.NaN] = [a.mean, b.mean]
  if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y))
  return more ? y - x : x - y
}

/** As far as two values can be told apart in the table. */
function markBest(cells: readonly (TableCell | undefined)[], more: boolean): void {
  const done = cells.filter((cell) => cell !== undefined && Number.isFinite(cell.mean)) as TableCell[]
  const [best] = done.toSorted((a, b) => compare(a, b, more))
  for (const cell of done) if (shownAs(cell.mean!) === shownAs(best!.mean!)) cell.best = true
}

/** Digits that a table shows: a tenth of a per cent. */
const DIGITS = 3
const shownAs = (value: number) => value.toFixed(DIGITS)
