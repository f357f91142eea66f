// Tables for tests, and one step from a file to a schema and the data that it describes.
import { DuckDBInstance } from '@duckdb/node-api'
import { type LoadedData, type LoadOptions, loadData, proposeSchema } from '../../node/data/load.ts'
import type { DataSchema, ModelHints, Selection } from '../../node/data/spec.ts'

export const options: LoadOptions = { validation: 0, seed: 1 }
/** Takes rows of any width and tells classes apart. */
export const model: ModelHints = { input: 'float32', inputShape: [null], target: 'class' }

export const CSV = `age,color,smokes,label
20,red,true,well
30,blue,false,ill
40,red,true,well
`

/** Writes a Parquet file with DuckDB. */
export async function parquet(path: string, select: string): Promise<void> {
  const database = await DuckDBInstance.create(':memory:')
  const connection = await database.connect()
  await connection.run(`COPY (${select}) TO '${path}' (FORMAT parquet)`)
  connection.closeSync()
  database.closeSync()
}

export async function use(spec: string, hints: ModelHints, selection: Selection = {}): Promise<LoadedData & { schema: DataSchema }> {
  const schema = await proposeSchema(spec, selection, hints)
  return { schema, ...(await loadData(spec, schema, { ...options, selection })) }
}
