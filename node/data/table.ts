// Tables as data: CSV, JSON lines and Parquet, read through DuckDB into one row of numbers a sample.
import { resolve } from 'node:path'
import type { DuckDBDataChunk } from '@duckdb/node-api'
import { MurmurError } from '../../protocol/errors.ts'
import { isTablePath, openTable, type Table, type TableColumn } from './duckdb.ts'
import { isFile, listed } from './file.ts'
import type { Column, DataFormat, DataSchema, RawSamples } from './spec.ts'
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
        return await readTable(opened, schema)
      },
    }
  },
}

/** A column's values at work: what DuckDB selects, and where each value goes. */
interface Reader {
  column: TableColumn
  sql: string
  /** False where the value does not fit. `row` counts from 0. */
  put(value: unknown, row: number): boolean
  /** What does, for the error. */
  needed: string
}

/** @throws data-invalid, limit-exceeded */
export async function readTable(table: Table, schema: DataSchema): Promise<RawSamples> {
  const { columns, input, target } = schema
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
  const bytes = rows * (width + labels) * Float32Array.BYTES_PER_ELEMENT
  if (bytes > MAX_BYTES) {
    throw new MurmurError(
      'limit-exceeded',
      `${table.path} takes ${bytes} bytes as numbers; at most ${MAX_BYTES} are read: leave out rows or columns.`,
    )
  }
  const x = input.dtype === 'int64' ? new Int32Array(rows * width) : new Float32Array(rows * width)
  const y = target.kind === 'class' ? new Int32Array(rows) : new Float32Array(rows * labels)

  let [offset, label] = [0, 0]
  const readers = columns.map((column, i): Reader => {
    const source = found[i]!
    if (column.kind === 'label') return labelReader(source, target, y, labels, label++)
    const at = offset
    offset += widthOf(column)
    return column.kind === 'category' ? categoryReader(source, column, x, width, at) : numberReader(source, column, x, width, at)
  })
  let read = 0
  for await (const chunk of table.chunks(`SELECT ${readers.map(({ sql }) => sql).join(', ')} FROM source`)) {
    const { rowCount } = chunk
    read += rowCount
    if (read > rows) break
    await readChunk(table, readers, chunk, rowCount, read - rowCount)
  }
  if (read !== rows) throw new MurmurError('data-invalid', `${table.path} changed while it was read; start again.`)
  return {
    ...{ x, y: labels === 0 ? Float32Array.from(x) : y, samples: rows, sampleShape: [width] },
    labelShape: labels === 0 ? [width] : labels === 1 ? [] : [labels],
    ...{ inputsFrom: table.path, labelsFrom: table.path },
  }
}

async function readChunk(table: Table, readers: readonly Reader[], chunk: DuckDBDataChunk, count: number, first: number): Promise<void> {
  for (const [i, { column, put, needed }] of readers.entries()) {
    const vector = chunk.getColumnVector(i)
    for (let row = 0; row < count; row++) {
      if (!put(vector.getItem(row), first + row)) throw await badValue(table, column, first + row, needed)
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
