// Tables in files, read through DuckDB: an in-memory database that may open the one file and nothing else. Names and values of a file
// are hostile input to SQL: names are quoted here and only here, the path is a parameter, values never become SQL.
import { stat } from 'node:fs/promises'
import type { DuckDBConnection, DuckDBDataChunk } from '@duckdb/node-api'
import { MurmurError } from '../../protocol/errors.ts'
import { readCsvHeader } from './csv-header.ts'
import { shown } from './file.ts'
import { checkJsonDepth } from './json-depth.ts'

/** open: text of a CSV file, whose values decide. other: lists, structures and bytes, which a model cannot take. */
export type Kind = 'number' | 'boolean' | 'text' | 'open' | 'other'

export interface TableColumn {
  name: string
  kind: Kind
  /** DuckDB's name of the type. */
  type: string
}

export interface Table extends AsyncDisposable {
  path: string
  columns: readonly TableColumn[]
  /** The result of a SELECT over `source`, the file's rows in its own order. @throws data-invalid */
  rows(sql: string): Promise<unknown[][]>
  /** The same in chunks. @throws data-invalid */
  chunks(sql: string): AsyncIterable<DuckDBDataChunk>
}

type Duckdb = typeof import('@duckdb/node-api')

const EXTENSION = /\.(?:(?<csv>csv|tsv)(?:\.gz)?|(?<json>jsonl|ndjson)(?:\.gz)?|(?<parquet>parquet))$/i
const NUMBER = /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)|BIGNUM)$/
const OTHER = /\[\d*\]$|^(STRUCT|MAP|UNION|BLOB|BIT)\b/
/** Everything that a database could do beyond reading the file is off; what would not fit in memory fails instead of being written to disk. */
const CONFIG = {
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  temp_directory: '',
}

export const isTablePath = (path: string): boolean => EXTENSION.test(path)

const importDuckdb = (): Promise<Duckdb> => import('@duckdb/node-api')

/** @param load for tests @throws data-missing where DuckDB is not installed, data-invalid */
export async function openTable(path: string, load = importDuckdb): Promise<Table> {
  const { DuckDBInstance } = await load().catch((cause: unknown) => {
    throw new MurmurError(
      'data-missing',
      `Reading ${path} takes DuckDB, which is not installed; get it with \`npm install @duckdb/node-api\`.`,
      {
        cause,
      },
    )
  })
  if ((await stat(path)).size === 0) throw new MurmurError('data-invalid', `${path} is empty.`)
  const database = await DuckDBInstance.create(':memory:', CONFIG)
  const connection = await database.connect()
  const close = () => {
    connection.closeSync()
    database.closeSync()
  }
  try {
    for (const setting of [`allowed_paths = [${literal(path)}]`, 'enable_external_access = false', 'lock_configuration = true']) {
      await connection.run(`SET ${setting}`)
    }
    const { columns, source } = await describe(connection, path)
    checkNames(columns, path)
    return {
      path,
      columns,
      rows: (sql) => all(connection, path, `WITH source AS (FROM ${source}) ${sql}`),
      chunks: (sql) => stream(connection, path, `WITH source AS (FROM ${source}) ${sql}`),
      [Symbol.asyncDispose]: async () => close(),
    }
  } catch (error) {
    close()
    throw error
  }
}

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** The columns, and the table function that reads the file. CSV and JSON are read as text: what peers agreed on decides how it is understood. */
async function describe(connection: DuckDBConnection, path: string): Promise<{ columns: TableColumn[]; source: string }> {
  const { csv, json } = EXTENSION.exec(path)?.groups ?? {}
  const compression = /\.gz$/i.test(path) ? 'gzip' : 'uncompressed'
  const asText = (names: readonly string[]) => `columns = {${names.map((name) => `${quoted(name)}: 'VARCHAR'`).join(', ')}}`
  if (csv !== undefined) {
    const { names, delimiter } = await readCsvHeader(path)
    const how = `auto_detect = false, header = true, delim = '${delimiter}', quote = '"', escape = '"', nullstr = '', hive_partitioning = false, compression = '${compression}'`
    return {
      columns: names.map((name) => ({ name, kind: 'open', type: 'VARCHAR' })),
      source: `read_csv($path, ${how}, ${asText(names)})`,
    }
  }
  const lines = `read_json($path, format = 'newline_delimited', records = true, hive_partitioning = false, compression = '${compression}'`
  const typed =
    json === undefined ? 'read_parquet($path, hive_partitioning = false)' : `${lines}, sample_size = -1, map_inference_threshold = -1)`
  if (json !== undefined) await checkJsonDepth(path)
  const described = await all(connection, path, `DESCRIBE FROM ${typed}`)
  const columns = described.map(([name, type]) => ({ name: String(name), kind: kindOf(String(type)), type: String(type) }))
  return { columns, source: json === undefined ? typed : `${lines}, ${asText(columns.map(({ name }) => name))})` }
}

function kindOf(type: string): Kind {
  if (NUMBER.test(type)) return 'number'
  if (type === 'BOOLEAN') return 'boolean'
  return OTHER.test(type) ? 'other' : 'text'
}

function checkNames(columns: readonly TableColumn[], path: string): void {
  const bad = columns.find(({ name }) => /\p{C}/u.test(name))
  if (bad !== undefined)
    throw new MurmurError('data-invalid', `${path} has a column "${shown(bad.name)}" with control characters in its name; rename it.`)
}

async function all(connection: DuckDBConnection, path: string, sql: string): Promise<unknown[][]> {
  try {
    return (await connection.runAndReadAll(sql, { path })).getRows()
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

async function* stream(connection: DuckDBConnection, path: string, sql: string): AsyncIterable<DuckDBDataChunk> {
  try {
    const result = await connection.stream(sql, { path })
    for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) yield chunk
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

/** DuckDB's message is a page: what happened, suggestions for those who write SQL, and the reader's settings. */
function unreadable(path: string, cause: unknown): MurmurError {
  const message = cause instanceof Error ? cause.message : String(cause)
  // A star or a bracket in a name is a pattern to DuckDB where another file fits it, and it may open the one file only.
  const pattern = /[*?[]/.test(path) && message.includes('disabled by configuration')
  const advice = pattern ? 'rename it, without the characters * ? [' : 'mend the file'
  const [what = ''] = message.replace(/^(\w+ )+Error: /, '').split(/\nPossible |\n *Try |\nLINE |\n *file = /)
  const lines = what
    .replaceAll(`"${path}"`, 'it')
    .split('\n')
    .map((line) => line.trim())
  return new MurmurError(
    'data-invalid',
    `${path} cannot be read as a table (${shown(lines.filter(Boolean).join('; '), 300)}); ${advice}.`,
    { cause },
  )
}
