// Tables as data: CSV, JSON lines and Parquet, read through DuckDB into one row of numbers a sample.
import { resolve } from 'node:path'
import type { DuckDBDataChunk } from '@duckdb/node-api'
import { MurmurError } from '../../protocol/errors.ts'
import { isTablePath, openTable, type Table, type TableColumn } from './duckdb.ts'
import { isFile, listed } from './file.ts'
import { sampleBytes } from './sample-parts.ts'
import type { Column, DataFormat, DataSchema, RawSamples, SampleParts } from './spec.ts'
import { badValue, findColumns, numberOf, textOf } from './table-columns.ts'
import { proposeTable } from './table-schema.ts'

/** Bytes of a table's numbers in memory: what a machine with 8 GiB holds beside a model and its training. */
const MAX_BYTES = 2 ** 31

export const table: DataFormat = {
  usage: 'a table (.csv, .tsv, .jsonl, .ndjson or .parquet)',
  async open(spec, selection) {
    const path = resolve(spec)
    if (!isTablePath(path) || !(await isFile(path))) return undefined
    return {
      name: path,
      async propose(hints) {
        await using opened = await openTable(path)
        return await proposeTable(opened, selection, hints)
      },
      async train(schema) {
        await using opened = await openTable(path)
        return await readWhole(opened, schema)
      },
      async parts(schema) {
        const opened = await openTable(path)
        try {
          return await readTable(opened, schema)
        } catch (error) {
          await opened[Symbol.asyncDispose]()
          throw error
        }
      },
    }
  },
}

/** @throws data-invalid, limit-exceeded */
async function readWhole(table: Table, schema: DataSchema): Promise<RawSamples> {
  const { samples, sampleShape, labelShape, all } = await readTable(table, schema)
  const bytes = samples * sampleBytes({ sampleShape, labelShape }, schema)
  if (bytes > MAX_BYTES) {
    throw new MurmurError(
      'limit-exceeded',
      `${table.path} takes ${bytes} bytes as numbers; at most ${MAX_BYTES} are read: leave out rows or columns.`,
    )
  }
  for await (const whole of all(samples)) return whole
  throw changed(table.path)
}

/** A column's values at work: what DuckDB selects, and where each value goes. */
interface Reader {
  column: TableColumn
  sql: string
  /** False where the value does not fit. `row` counts from 0, in the room that there is. */
  put(value: unknown, row: number): boolean
  /** What does, for the error. */
  needed: string
}

/** The samples of an open table, which is closed with them. @throws data-invalid */
export async function readTable(table: Table, { columns, input, target }: DataSchema): Promise<Extract<SampleParts, { all: unknown }>> {
  if (columns === undefined) {
    throw new MurmurError(
      'data-invalid',
      `${table.path} is a table, but the task agreed on no columns: it was founded with arrays, images or text.`,
    )
  }
  const found = findColumns(
    table,
    columns.map(({ name }) => name),
  )
  const labels = columns.filter(({ kind }) => kind === 'label').length
  const width = columns.reduce((sum, column) => sum + widthOf(column), 0)
  const rows = Number((await table.rows('SELECT count(*) FROM source'))[0]?.[0])
  if (rows === 0) throw new MurmurError('data-invalid', `${table.path} has columns but no rows.`)
  const shapes = { sampleShape: [width], labelShape: labels === 0 ? [width] : labels === 1 ? [] : [labels] }
  return { samples: rows, ...shapes, all, [Symbol.asyncDispose]: () => table[Symbol.asyncDispose]() }

  async function* all(limit: number): AsyncGenerator<RawSamples> {
    const most = Math.min(limit, rows)
    const x = input.dtype === 'int64' ? new Int32Array(most * width) : new Float32Array(most * width)
    const y = target.kind === 'class' ? new Int32Array(most) : new Float32Array(most * labels)
    const readers = readersOf(found, columns!, target, { x, y, width, labels })
    const part = (samples: number): RawSamples => ({
      x: x.subarray(0, samples * width),
      y: labels === 0 ? Float32Array.from(x.subarray(0, samples * width)) : y.subarray(0, samples * labels),
      ...{ samples, ...shapes, inputsFrom: table.path, labelsFrom: table.path },
    })
    let read = 0
    let filled = 0
    for await (const chunk of table.chunks(`SELECT ${readers.map(({ sql }) => sql).join(', ')} FROM source`)) {
      if (read + chunk.rowCount > rows) throw changed(table.path)
      for (let at = 0; at < chunk.rowCount; ) {
        if (filled === most) {
          yield part(filled)
          filled = 0
          // Of a category only its one is written.
          x.fill(0)
        }
        const count = Math.min(chunk.rowCount - at, most - filled)
        await readChunk(table, readers, chunk, { at, count, row: read, to: filled })
        at += count
        read += count
        filled += count
      }
    }
    if (read !== rows) throw changed(table.path)
    yield part(filled)
  }
}

const changed = (path: string): MurmurError => new MurmurError('data-invalid', `${path} changed while it was read; start again.`)

interface Room {
  x: RawSamples['x']
  y: RawSamples['y']
  width: number
  labels: number
}

function readersOf(
  found: readonly TableColumn[],
  columns: readonly Column[],
  target: DataSchema['target'],
  { x, y, width, labels }: Room,
): Reader[] {
  let [offset, label] = [0, 0]
  return columns.map((column, i): Reader => {
    const source = found[i]!
    if (column.kind === 'label') return labelReader(source, target, y, labels, label++)
    const at = offset
    offset += widthOf(column)
    return column.kind === 'category' ? categoryReader(source, column, x, width, at) : numberReader(source, column, x, width, at)
  })
}

/** Rows of a chunk: `count` from its row `at` on, which are the file's from `row` on, into the room's from `to` on. */
interface Rows {
  at: number
  count: number
  row: number
  to: number
}

async function readChunk(table: Table, readers: readonly Reader[], chunk: DuckDBDataChunk, { at, count, row, to }: Rows): Promise<void> {
  for (const [i, { column, put, needed }] of readers.entries()) {
    const vector = chunk.getColumnVector(i)
    for (let next = 0; next < count; next++) {
      if (!put(vector.getItem(at + next), to + next)) throw await badValue(table, column, row + next, needed)
    }
  }
}

/** Numbers of the model's input that a column takes. */
function widthOf({ kind, encoding, categories }: Column): number {
  if (kind === 'label') return 0
  return kind === 'category' && encoding === 'one-hot' ? (categories?.length ?? 0) : 1
}

function numberReader(column: TableColumn, { mean = 0, deviation = 1 }: Column, x: RawSamples['x'], width: number, at: number): Reader {
  return {
    ...{ column, sql: numberOf(column), needed: x instanceof Int32Array ? 'a whole number of 32 bits' : 'a finite number' },
    put(value, row) {
      if (typeof value !== 'number') return false
      const scaled = (value - mean) / deviation
      x[row * width + at] = scaled
      return x instanceof Int32Array ? x[row * width + at] === scaled : Number.isFinite(x[row * width + at])
    },
  }
}

function categoryReader(column: TableColumn, { categories = [], encoding }: Column, x: RawSamples['x'], width: number, at: number): Reader {
  const codes = new Map(categories.map((category, code) => [category, code]))
  return {
    ...{ column, sql: textOf(column), needed: `one of the task's ${categories.length} categories (${listed(categories, 5)})` },
    put(value, row) {
      const code = codes.get(value as string)
      if (code === undefined) return false
      if (encoding === 'one-hot') x[row * width + at + code] = 1
      else x[row * width + at] = code
      return true
    },
  }
}

function labelReader(
  column: TableColumn,
  { kind, size, names }: DataSchema['target'],
  y: RawSamples['y'],
  labels: number,
  at: number,
): Reader {
  if (names !== undefined) {
    const ids = new Map(names.map((name, id) => [name, id]))
    return {
      ...{ column, sql: textOf(column), needed: `one of the task's classes (${listed(names, 5)})` },
      put(value, row) {
        const id = typeof value === 'string' ? (ids.get(value) ?? ids.get(plainNumber(value))) : undefined
        if (id === undefined) return false
        y[row] = id
        return true
      },
    }
  }
  const needed = kind === 'class' ? `a class from 0 to ${size - 1}` : kind === 'binary' ? '0 or 1' : 'a finite number'
  return {
    ...{ column, sql: numberOf(column), needed },
    put(value, row) {
      if (typeof value !== 'number') return false
      y[row * labels + at] = value
      if (kind === 'number') return Number.isFinite(y[row * labels + at])
      return kind === 'binary' ? value === 0 || value === 1 : Number.isInteger(value) && value >= 0 && value < size
    },
  }
}

/** A name that is a number is the same name however it is written: 1, 1.0 or 01. */
const plainNumber = (text: string): string => (text.trim() === '' || Number.isNaN(Number(text)) ? text : String(Number(text)))
