// What peers agree on about a table, proposed from the founder's: which columns, numbers standardised by the founder's mean and deviation,
// text as categories, and what the labels are called.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import type { Kind, Table, TableColumn } from './duckdb.ts'
import { listed, shown } from './file.ts'
import { shapeText } from './sample-shape.ts'
import type { Column, DataSchema, ModelHints, Selection } from './spec.ts'
import { defaultLabel, findColumns, firstBad, numberOf, splitNames, textOf } from './table-columns.ts'

/** Categories of a column, or classes: what the manifest holds. */
const MAX_CATEGORIES = 65_536
/** Significant digits of a mean or a deviation: more are noise of the order in which threads add up. */
const DIGITS = 12

interface Profile {
  column: TableColumn
  kind: Exclude<Kind, 'open' | 'other'>
  /** Rows, and those of them whose text is a number. */
  rows: number
  numbers: number
  mean: number
  deviation: number
  min: number
  max: number
}

/** @throws data-invalid */
export async function proposeTable(table: Table, selection: Selection, hints: ModelHints): Promise<DataSchema> {
  if (hints.target === 'tokens') {
    throw new MurmurError('data-invalid', `${table.path} is a table, but the model predicts a token at each position; give text or arrays.`)
  }
  const { inputs, labels } = choose(table, selection)
  const profiles = await profile(table, [...inputs, ...labels])
  const encoded: Column[] = []
  for (const one of profiles.slice(0, inputs.length)) encoded.push(await encode(table, one, hints))
  const { columns, width } = fitWidth(table, encoded, hints)
  const shape = fillWidth(hints.inputShape, width)
  const input = { dtype: hints.input, shape, scale: 1, offset: 0 }
  if (labels.length === 0) return { input, target: { kind: hints.target, size: width, shape }, columns }
  return {
    input,
    target: await proposeTarget(table, profiles.slice(inputs.length), hints),
    columns: [...columns, ...labels.map(({ name }): Column => ({ name, kind: 'label' }))],
  }
}

/** No labels: the model learns to give its input back. */
function choose(table: Table, { input, label }: Selection): { inputs: TableColumn[]; labels: TableColumn[] } {
  const same = input !== undefined && input === label
  const labels = same ? [] : findColumns(table, splitNames(table, label ?? defaultLabel(table)))
  const inputs =
    input === undefined ? table.columns.filter((column) => !labels.includes(column)) : findColumns(table, splitNames(table, input))
  if (inputs.length === 0) throw new MurmurError('data-invalid', `${table.path} has no column but the label, and a model needs an input.`)
  const both = inputs.find((column) => labels.includes(column))
  if (both !== undefined) {
    throw new MurmurError(
      'data-invalid',
      `Column "${shown(both.name)}" of ${table.path} is named both as an input and as the label; leave it out of one.`,
    )
  }
  const other = [...inputs, ...labels].find(({ kind }) => kind === 'other')
  if (other !== undefined) {
    const what = `Column "${shown(other.name)}" of ${table.path} holds values of type ${shown(other.type)}`
    throw new MurmurError('data-invalid', `${what}, and numbers, booleans and text are read; name the columns to use with --input.`)
  }
  return { inputs, labels }
}

/** @throws data-invalid for an empty table, and for a column with a value missing or not finite */
async function profile(table: Table, columns: readonly TableColumn[]): Promise<Profile[]> {
  const each = (part: (column: TableColumn, i: number) => string) => columns.map(part).join(', ')
  const values = `SELECT ${each((column, i) => `${textOf(column)} AS t${i}, ${numberOf(column)} AS n${i}`)} FROM source`
  // NULL instead of a FILTER: DuckDB's planning of filtered aggregates takes minutes for a few thousand columns.
  const finite = each((_, i) => `t${i}, n${i}, CASE WHEN isfinite(n${i}) THEN n${i} END AS f${i}`)
  const statistics = each((_, i) => {
    const flags = `count(CASE WHEN lower(t${i}) IN ('true', 'false') THEN 1 END)`
    return `count(t${i}), count(n${i}), count(f${i}), ${flags}, avg(f${i}), stddev_samp(f${i}), min(f${i}), max(f${i})`
  })
  const [found = []] = await table.rows(`SELECT count(*), ${statistics} FROM (SELECT ${finite} FROM (${values}))`)
  const [rows = 0, ...numbers] = found.map(Number)
  if (rows === 0) throw new MurmurError('data-invalid', `${table.path} has columns but no rows.`)
  const profiles: Profile[] = []
  for (const [i, column] of columns.entries()) {
    const [present = 0, numeric = 0, usable = 0, flags = 0, mean = 0, spread = 0, min = 0, max = 0] = numbers.slice(8 * i, 8 * i + 8)
    const open = numeric < rows ? 'text' : flags === rows ? 'boolean' : 'number'
    const kind = column.kind === 'open' ? open : (column.kind as Profile['kind'])
    const missing = present < rows ? await firstBad(table, column, 'text IS NULL', 'a value') : undefined
    const infinite =
      kind === 'number' && usable < rows ? await firstBad(table, column, 'NOT isfinite(number)', 'a finite number') : undefined
    const bad = missing ?? infinite
    if (bad !== undefined) throw bad
    profiles.push({ column, kind, rows, numbers: numeric, mean, deviation: min === max || spread === 0 ? 1 : spread, min, max })
  }
  return profiles
}

async function encode(table: Table, known: Profile, hints: ModelHints): Promise<Column> {
  const { name } = known.column
  if (known.kind === 'text') return { name, kind: 'category', categories: await distinctTexts(table, known) }
  // Whole numbers that a model looks up are ids, and 0 and 1 say what they mean: neither is standardised.
  if (known.kind === 'boolean' || hints.input === 'int64') return { name, kind: 'number', mean: 0, deviation: 1 }
  const round = (value: number) => Number(value.toPrecision(DIGITS))
  return { name, kind: 'number', mean: round(known.mean), deviation: round(known.deviation) }
}

/** Sorted by UTF-16 code unit, so that it does not depend on a language. @throws data-invalid where there are too many */
async function distinctTexts(table: Table, { column, rows, numbers }: Profile): Promise<string[]> {
  const found = await table.rows(`SELECT DISTINCT ${textOf(column)} FROM source LIMIT ${MAX_CATEGORIES + 1}`)
  if (found.length <= MAX_CATEGORIES) return found.map(([text]) => String(text)).sort()
  const bad = numbers > rows / 2 ? await firstBad(table, column, 'number IS NULL', 'a number like most others in that column') : undefined
  throw (
    bad ??
    new MurmurError(
      'data-invalid',
      `Column "${shown(column.name)}" of ${table.path} holds more than ${MAX_CATEGORIES} different texts, too many for categories; leave it out with --input.`,
    )
  )
}

const widthOf = (column: Column, encoding: 'one-hot' | 'code'): number => (encoding === 'one-hot' ? (column.categories?.length ?? 1) : 1)

/** Each category as a column of its own where the model's input is as wide, else its number in one column. */
function fitWidth(table: Table, columns: Column[], { input, inputShape }: ModelHints): { columns: Column[]; width: number } {
  const width = (encoding: 'one-hot' | 'code') => columns.reduce((sum, column) => sum + widthOf(column, encoding), 0)
  const [wide, narrow] = [width('one-hot'), width('code')]
  const known = sizeOf(inputShape.map((dim) => dim ?? 1))
  const open = inputShape.includes(null)
  const fits = (found: number) => (open ? found % known === 0 : found === known)
  // A model that takes integers looks its categories up, so that it is given their numbers.
  const order = input === 'int64' ? (['code', 'one-hot'] as const) : (['one-hot', 'code'] as const)
  const encoding = order.find((one) => fits(width(one)))
  if (encoding === undefined) {
    const some = wide === narrow ? `${wide} numbers` : `${narrow} columns, or ${wide} numbers with each category as one of its own`
    throw new MurmurError(
      'data-invalid',
      `${table.path} gives ${some}, but the model takes ${shapeText(inputShape)}; choose columns with --input, or change the model.`,
    )
  }
  return {
    columns: columns.map((column) => (column.kind === 'category' ? { ...column, encoding } : column)),
    width: width(encoding),
  }
}

function fillWidth(shape: readonly (number | null)[], width: number): number[] {
  const known = sizeOf(shape.map((dim) => dim ?? 1))
  const first = shape.indexOf(null)
  return shape.map((dim, i) => dim ?? (i === first ? width / known : 1))
}

async function proposeTarget(
  table: Table,
  labels: readonly Profile[],
  { target: kind, classes }: ModelHints,
): Promise<DataSchema['target']> {
  const [label] = labels
  const shape = labels.length === 1 ? [] : [labels.length]
  const text = labels.find((one) => one.numbers < one.rows)
  if (kind === 'class') {
    if (labels.length > 1 || label === undefined) {
      throw new MurmurError(
        'data-invalid',
        `${table.path} is to give ${labels.length} labels, but the model predicts one class; name one with --label.`,
      )
    }
    const names = await classNames(table, label, classes)
    if (names === undefined) return { kind, size: classes ?? label.max + 1, shape }
    if (classes !== undefined && names.length > classes) {
      const what = `Column "${shown(label.column.name)}" of ${table.path} holds ${names.length} classes`
      throw new MurmurError('data-invalid', `${what} (${listed(names, 5)}), but the model tells ${classes} apart.`)
    }
    return { kind, size: classes ?? names.length, shape, names }
  }
  if (text === undefined) return { kind, size: labels.length, shape }
  const names = kind === 'binary' && labels.length === 1 ? await distinctTexts(table, text) : []
  if (names.length === 2) return { kind, size: 1, shape, names }
  throw (await firstBad(table, text.column, 'number IS NULL', 'a number'))!
}

/**
 * Texts sorted. Whole numbers are class ids as they are where they begin at 0 and the model has a class for each (or, where its classes
 * are not known, none is left out); others, such as 1 to 3 or -1 and 1, are names, sorted as numbers: undefined means ids.
 */
async function classNames(table: Table, label: Profile, classes: number | undefined): Promise<string[] | undefined> {
  if (label.kind === 'text') return distinctTexts(table, label)
  const bad = await firstBad(table, label.column, 'number <> floor(number)', 'a whole number, as classes are')
  if (bad !== undefined) throw bad
  const most = classes ?? MAX_CATEGORIES
  const found = await table.rows(`SELECT DISTINCT ${numberOf(label.column)} FROM source LIMIT ${most + 1}`)
  if (found.length > most) {
    const needed = `one of the ${most} classes that the model tells apart, 0 to ${most - 1}`
    const beyond = await firstBad(table, label.column, `number < 0 OR number >= ${most}`, needed)
    if (beyond !== undefined) throw beyond
  }
  if (label.min >= 0 && label.max < (classes ?? found.length)) return undefined
  return found
    .map(([id]) => Number(id))
    .sort((x, y) => x - y)
    .map(String)
}
