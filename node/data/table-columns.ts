// What the files that describe and read tables share: how a column is understood, and how a value that does not fit is told.
import { MurmurError } from '../../protocol/errors.ts'
import { quoted, type Table, type TableColumn } from './duckdb.ts'
import { listed, shown } from './file.ts'

/** Names of the column to predict where none is given, in this order. */
const LABELS = ['label', 'target', 'class', 'y']

/** SQL for a column's text. */
export const textOf = ({ name }: TableColumn): string => `CAST(${quoted(name)} AS VARCHAR)`

/** SQL for a column's numbers, false and true as 0 and 1; NULL where there is none. */
export function numberOf(column: TableColumn): string {
  if (column.kind === 'number') return `CAST(${quoted(column.name)} AS DOUBLE)`
  const text = textOf(column)
  return `COALESCE(TRY_CAST(${text} AS DOUBLE), CASE lower(${text}) WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 END)`
}

/** The columns of these names. @throws data-invalid with those that there are */
export function findColumns(table: Table, names: readonly string[]): TableColumn[] {
  const known = new Map(table.columns.map((column) => [column.name, column]))
  const missing = names.filter((name) => !known.has(name))
  if (missing.length > 0) {
    const what = missing.length === 1 ? `column ${shown(missing[0]!)}` : `columns ${listed(missing)}`
    throw new MurmurError('data-invalid', `${table.path} has no ${what}; it has ${listed(table.columns.map(({ name }) => name))}.`)
  }
  return names.map((name) => known.get(name)!)
}

/** Names of one or more columns: one whose name holds a comma, or several between commas. */
export const splitNames = (table: Table, given: string): string[] =>
  table.columns.some(({ name }) => name === given) ? [given] : given.split(',').map((name) => name.trim())

/** @throws data-invalid where nothing tells which column it is */
export function defaultLabel(table: Table): string {
  const found = LABELS.map((label) => table.columns.find(({ name }) => name.toLowerCase() === label)).find((column) => column !== undefined)
  if (found !== undefined) return found.name
  const names = listed(table.columns.map(({ name }) => name))
  throw new MurmurError(
    'data-invalid',
    `${table.path} has no column named ${LABELS.join(', ')}; say with --label which one to predict: ${names}.`,
  )
}

/**
 * @param row from 0, in the file's order
 * @param needed what should stand there, as "a number"
 */
export async function badValue(table: Table, column: TableColumn, row: number, needed: string): Promise<MurmurError> {
  const [[text] = []] = await table.rows(`SELECT ${textOf(column)} FROM source LIMIT 1 OFFSET ${row}`)
  const where = `Column "${shown(column.name)}" of ${table.path}`
  if (typeof text !== 'string')
    return new MurmurError('data-invalid', `${where} has no value in row ${row + 1}; fill it, or leave the row out.`)
  return new MurmurError('data-invalid', `${where} holds "${shown(text)}" in row ${row + 1}, which is not ${needed}.`)
}

/** The error for the first row for which `condition`, in SQL over `text` and `number`, holds; undefined where there is none. */
export async function firstBad(table: Table, column: TableColumn, condition: string, needed: string): Promise<MurmurError | undefined> {
  const inner = `SELECT row_number() OVER () - 1 AS row, ${textOf(column)} AS text, ${numberOf(column)} AS number FROM source`
  const [[row] = []] = await table.rows(`SELECT row FROM (${inner}) WHERE ${condition} ORDER BY row LIMIT 1`)
  return row === undefined ? undefined : badValue(table, column, Number(row), needed)
}
