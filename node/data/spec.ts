// What data is before and after loading: the contract between sources (one module a format) and everything that uses data.

/** Samples as a source holds them, in its own memory. */
export interface RawSamples {
  /** Row-major values, `samples` times the product of `sampleShape`. */
  x: Uint8Array | Float32Array
  /** Class of each sample. */
  y: Int32Array
  samples: number
  sampleShape: number[]
  /** Where they came from, for errors. */
  inputsFrom: string
  labelsFrom: string
}

/** An opened data source; nothing large is read until asked for. */
export interface DataSource {
  /** For people: "MNIST", or a path. */
  name: string
  /** @throws data-missing, data-invalid */
  train(): Promise<RawSamples>
  /** Absent where the source has no test set. @throws data-missing, data-invalid */
  test?: () => Promise<RawSamples>
}

/** A format of data. A new one is a module with this shape and a line in load.ts. */
export interface DataFormat {
  /** How it is given, for the error that lists all. */
  usage: string
  /** The source that `spec` names, or undefined where it is not of this format. @throws data-missing, data-invalid */
  open(spec: string): Promise<DataSource | undefined>
}

/** Samples ready to train on, in memory that worker threads share. */
export interface DataSet {
  x: Uint8Array<SharedArrayBuffer> | Float32Array<SharedArrayBuffer>
  y: Int32Array<SharedArrayBuffer>
  samples: number
  /** The task's shape of one sample. */
  sampleShape: number[]
}

/** Which part of a data set that several peers cut alike; `index` from 0, or chosen by the peer's id. Infinite alpha: even parts. */
export type ShardOptions = { of: number; alpha: number; seed: number | string } & ({ index: number } | { byPeerId: string })
