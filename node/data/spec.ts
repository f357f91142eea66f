// What data is before and after loading: the contract between sources (one module a format) and everything that uses data.
import type { Manifest } from '../../protocol/manifest.ts'

/** What all peers of a task agree on about their data: see protocol/manifest.ts. */
export type DataSchema = Manifest['data']
export type Column = NonNullable<DataSchema['columns']>[number]

/** Samples as a source holds them, in its own memory. */
export interface RawSamples {
  /** Row-major values, `samples` times the product of `sampleShape`. int32: token ids. */
  x: Uint8Array | Float32Array | Int32Array
  /** Labels, `samples` times the product of `labelShape`: int32 are class or token ids, float32 numbers (also 0 and 1). */
  y: Int32Array | Float32Array
  samples: number
  sampleShape: number[]
  labelShape: number[]
  /** Where they came from, for errors. */
  inputsFrom: string
  labelsFrom: string
  /** Where they are a part of the source: how many samples lie before them, for errors. */
  first?: number
}

interface PartsBase extends AsyncDisposable {
  samples: number
  sampleShape: number[]
  labelShape: number[]
}

/** Samples of which any can be read. */
export interface SampleRows extends PartsBase {
  /** Those from `begin` up to `end`. @throws data-invalid, data-missing */
  rows(begin: number, end: number): Promise<RawSamples>
}

/** A source's samples where they need not be in memory all at once: any of them, or all in their order. */
export type SampleParts =
  | SampleRows
  | (PartsBase & {
      /** At most `limit` at a time, each part in memory that the next may use again. @throws data-invalid, data-missing */
      all(limit: number): AsyncIterable<RawSamples>
    })

/** Hears now and then how far a long reading is. */
export type Tell = (progress: string) => void

/** Which part of a source is what; a source takes what it has a use for. */
export interface Selection {
  /** Name of the array or, for a table, comma-separated columns that go into the model; default `x`, or all columns but the label. */
  input?: string | undefined
  /** Name of the array or column to predict; default `y`, or for a table `label`, `target`, `class` or `y` where one is there. */
  label?: string | undefined
  /** For text: a file with one token a line; default: the characters of the text. */
  vocabulary?: string | undefined
}

/** What is known of the model when a schema is made for it. */
export interface ModelHints {
  /** Type of the model's input: float32, or int64 for token ids and categories. */
  input: 'float32' | 'int64'
  /** Shape of one sample; null where the model leaves a dimension open. */
  inputShape: readonly (number | null)[]
  /** The kind of target that the loss takes. */
  target: DataSchema['target']['kind']
  /** Classes that the model tells apart (class, tokens). */
  classes?: number | undefined
}

/** An opened data source; nothing large is read until asked for. */
export interface DataSource {
  /** For people: "MNIST", or a path. */
  name: string
  /** Proposes what a task should agree on, for the founder or for training alone. @throws data-missing, data-invalid */
  propose(hints: ModelHints): Promise<DataSchema>
  /** @throws data-missing, data-invalid where it does not fit the schema */
  train(schema: DataSchema, tell?: Tell): Promise<RawSamples>
  /** The same without reading them yet; absent or undefined where they are read as a whole or not at all. @throws data-missing, data-invalid */
  parts?: (schema: DataSchema) => Promise<SampleParts | undefined>
  /** Absent where the source has no test set. @throws data-missing, data-invalid */
  test?: (schema: DataSchema, tell?: Tell) => Promise<RawSamples>
}

/** A format of data. A new one is a module with this shape and a line in load.ts. */
export interface DataFormat {
  /** How it is given, for the error that lists all. */
  usage: string
  /** The source that `spec` names, or undefined where it is not of this format. @throws data-missing, data-invalid */
  open(spec: string, selection: Selection): Promise<DataSource | undefined>
}

/** Samples ready to train on; best in memory that worker threads share. */
export interface DataSet {
  /** [samples, ...input.shape], raw as the schema's `input` describes it. int32: token ids (the schema's dtype int64). */
  x: Uint8Array | Float32Array | Int32Array
  /** [samples, ...target.shape]: int32 for class and tokens, float32 for binary and number. */
  y: Int32Array | Float32Array
  samples: number
}

/** Which part of a data set that several peers cut alike; `index` from 0, or chosen by the peer's id. Infinite alpha: even parts. */
export type ShardOptions = { of: number; alpha: number; seed: number | string } & ({ index: number } | { byPeerId: string })
