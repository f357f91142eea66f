// A peer's private data: opened by its format, checked against the task, cut to the peer's own part, and put where workers share it.
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { manifestSchema } from '../../protocol/manifest.ts'
import { npy, npz, safetensors } from './array-files.ts'
import { checkSamples } from './check-samples.ts'
import { MAX_FILE_BYTES } from './file.ts'
import { idxDirectory } from './idx-directory.ts'
import { imageFolder } from './image-folder.ts'
import { mnist } from './mnist.ts'
import { dirichletPartition, iidPartition } from './partition.ts'
import { allRows } from './rows.ts'
import { gather } from './sample-memory.ts'
import { sampleBytes } from './sample-parts.ts'
import type { DataFormat, DataSchema, DataSet, DataSource, ModelHints, RawSamples, Selection, ShardOptions, Tell } from './spec.ts'
import { splitValidation } from './split.ts'
import { spool } from './spool.ts'
import { type DataStream, streamData, type WindowOptions } from './stream.ts'
import { table } from './table.ts'
import { text } from './text.ts'

export interface LoadOptions {
  /** Which part of the source is what. */
  selection?: Selection | undefined
  /** Default: all of it. */
  shard?: ShardOptions | undefined
  /** Share of the part kept for validation, below 1; 0: none. */
  validation: number
  /** Seeds the validation split. */
  seed: number | string
  /** Also load the test set, where the source has one. */
  withTest?: boolean
  /** Limits the memory of samples: larger data is read in parts. Default: as large as it is. */
  window?: WindowOptions | undefined
  /** Hears of a reading that takes long. */
  tell?: Tell
}

export interface LoadedData {
  train: DataSet
  validation: DataSet
  test?: DataSet
  /** One line for people. */
  summary: string
  /** Samples of each class in the part, training and validation together; empty where a sample has no single class, or the data is read in parts. */
  classes: number[]
  /** Where the data is larger than the memory it may take: `train` holds a window of it, and this fills it with the next. */
  stream?: DataStream
  /** Closes the files that a stream reads. */
  close?(): Promise<void>
}

/** The first that takes a spec opens it; a directory is IDX's where it is no other's. */
const FORMATS: readonly DataFormat[] = [mnist, table, npz, npy, safetensors, text, imageFolder, idxDirectory]
/** Bytes that a schema may take of a task's manifest; the layout is the other large part. */
const MAX_SCHEMA_BYTES = LIMITS.manifestBytes / 2

/** @param spec `mnist`, or a path @throws data-missing, data-invalid, limit-exceeded */
export async function openData(spec: string, selection: Selection = {}): Promise<DataSource> {
  for (const format of FORMATS) {
    const source = await format.open(spec, selection)
    if (source !== undefined) return source
  }
  const usages = FORMATS.map(({ usage }) => usage)
  throw new MurmurError(
    'data-invalid',
    `${resolve(spec)} is data of an unknown kind; use ${usages.slice(0, -1).join(', ')} or ${usages.at(-1)}.`,
  )
}

/**
 * What the peers of a task should agree on, as the founder's own data and the model suggest.
 * @throws data-missing, data-invalid where the data does not suit the model, limit-exceeded
 */
export async function proposeSchema(spec: string, selection: Selection, hints: ModelHints): Promise<DataSchema> {
  const proposed = await (await openData(spec, selection)).propose(hints)
  const bytes = JSON.stringify(proposed).length
  if (bytes > MAX_SCHEMA_BYTES) {
    throw new MurmurError(
      'limit-exceeded',
      `What peers must agree on about ${spec} (columns, categories, names) takes ${bytes} bytes, and a task holds ${MAX_SCHEMA_BYTES}; use fewer columns.`,
    )
  }
  const { data, error } = manifestSchema.shape.data.safeParse(proposed)
  if (data !== undefined) return data
  const issue = error.issues[0]
  throw new MurmurError('data-invalid', `${spec} cannot be agreed on: ${issue?.path.join('.')} ${issue?.message}; rename or leave it out.`)
}

/**
 * @param spec `mnist`, or a path
 * @throws data-missing, data-invalid where it does not fit the task, bad-argument for an impossible part, limit-exceeded
 */
export async function loadData(spec: string, schema: DataSchema, options: LoadOptions): Promise<LoadedData> {
  const source = await openData(spec, options.selection)
  const loaded = (await loadStreamed(source, schema, options)) ?? (await loadWhole(source, schema, options))
  if (!options.withTest || source.test === undefined) return loaded
  const test = await source.test(schema, options.tell)
  checkSamples(test, schema)
  return { ...loaded, test: gather(test, allRows(test.samples), schema) }
}

async function loadWhole(source: DataSource, schema: DataSchema, options: LoadOptions): Promise<LoadedData> {
  const raw = await source.train(schema, options.tell)
  checkMemory(source, raw, schema, options)
  checkSamples(raw, schema)
  const labels = classLabels(raw, schema)
  const { shard } = options
  const part = shard === undefined ? undefined : shardIndex(shard)
  const indices = shard === undefined || part === undefined ? allRows(raw.samples) : cut(raw, labels, shard)[part]!
  const { train, validation } = splitValidation(indices, options.validation, `${options.seed} ${part ?? 'all'}`)
  return {
    train: gather(raw, train, schema),
    validation: gather(raw, validation, schema),
    summary: summarize(source, raw, schema, {
      train: train.length,
      validation: validation.length,
      part,
      shard,
      skewed: labels !== undefined,
    }),
    classes: labels === undefined ? [] : countClasses(labels, indices, schema.target.kind === 'binary' ? 2 : schema.target.size),
  }
}

/** Undefined where the data fits in the memory it may take, or can only be read as a whole. */
async function loadStreamed(source: DataSource, schema: DataSchema, options: LoadOptions): Promise<LoadedData | undefined> {
  const { window, shard, tell } = options
  const parts = window === undefined ? undefined : await source.parts?.(schema)
  if (window === undefined || parts === undefined) return undefined
  // What is read as a whole lies in one buffer before it is cut.
  if (parts.samples * sampleBytes(parts, schema) <= Math.min(window.bytes, MAX_FILE_BYTES)) {
    await parts[Symbol.asyncDispose]()
    return undefined
  }
  const rows = 'rows' in parts ? parts : await spool(parts, schema, source.name, tell)
  try {
    const part = shard === undefined ? undefined : shardIndex(shard)
    const cut = { part: part ?? 0, of: shard?.of ?? 1, seed: shard?.seed ?? 0, validation: options.validation }
    const { samples, ...data } = await streamData(rows, schema, window, { ...cut, splitSeed: `${options.seed} ${part ?? 'all'}` })
    const sizes = { train: data.stream?.samples ?? data.train.samples, validation: data.validation.samples }
    const summary = summarize(source, rows, schema, { ...sizes, part, shard, skewed: false })
    if (data.stream === undefined) {
      await rows[Symbol.asyncDispose]()
      return { ...data, summary, classes: [] }
    }
    const inParts = `${summary}; read in parts of ${data.stream.windowSamples.toLocaleString('en')}`
    return { ...data, summary: inParts, classes: [], close: async () => await rows[Symbol.asyncDispose]() }
  } catch (error) {
    await rows[Symbol.asyncDispose]()
    throw error
  }
}

/** @throws limit-exceeded for what takes more than it may and can only be read as a whole */
function checkMemory({ name }: DataSource, raw: RawSamples, schema: DataSchema, { window }: LoadOptions): void {
  const bytes = raw.samples * sampleBytes(raw, schema)
  if (window === undefined || bytes <= window.bytes) return
  const [takes, may] = [bytes, window.bytes].map((count) => Math.ceil(count / 2 ** 20))
  throw new MurmurError(
    'limit-exceeded',
    `${name} takes ${takes} MiB and may take ${may}: raise --memory, or convert it to a format that is read in parts (.npy files in a directory, .safetensors, Parquet).`,
  )
}

/** The part a peer takes: the one given, or the first four bytes of the SHA-256 of its id, modulo the number of parts. @throws bad-argument */
export function shardIndex(shard: ShardOptions): number {
  const { of } = shard
  if (!Number.isInteger(of) || of < 1) throw new MurmurError('bad-argument', `Data cannot be cut into ${of} parts; give 1 or more.`)
  if ('byPeerId' in shard) return createHash('sha256').update(shard.byPeerId).digest().readUInt32BE(0) % of
  if (!Number.isInteger(shard.index) || shard.index < 0 || shard.index >= of) {
    throw new MurmurError('bad-argument', `There is no part ${shard.index + 1} of ${of}; parts go from 1 to ${of}.`)
  }
  return shard.index
}

/** The class of each sample, where it has one. */
function classLabels({ y }: RawSamples, { target }: DataSchema): Int32Array | undefined {
  if (target.kind === 'class' && y instanceof Int32Array) return y
  return target.kind === 'binary' && target.size === 1 ? Int32Array.from(y) : undefined
}

/** Without classes there is no label skew to draw, and the parts are even. */
const cut = (raw: RawSamples, labels: Int32Array | undefined, { of, alpha, seed }: ShardOptions): Int32Array[] =>
  alpha === Number.POSITIVE_INFINITY || labels === undefined
    ? iidPartition(raw.samples, of, seed)
    : dirichletPartition(labels, of, alpha, seed)

function countClasses(labels: Int32Array, indices: Int32Array, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0)
  for (const index of indices) counts[labels[index]!]!++
  return counts
}

interface Cut {
  train: number
  validation: number
  part: number | undefined
  shard: ShardOptions | undefined
  skewed: boolean
}

function summarize(
  source: DataSource,
  raw: Pick<RawSamples, 'samples'>,
  { input }: DataSchema,
  { train, validation, part, shard, skewed }: Cut,
): string {
  const text = (count: number) => count.toLocaleString('en')
  const sizes = `${text(train)} samples to train on, ${text(validation)} to validate with`
  // People should know that their values are changed on the way into the model.
  const name = input.dtype === 'uint8' && input.scale === 1 / 255 ? `${source.name} (bytes as 0 to 1)` : source.name
  if (shard === undefined || part === undefined) return `${name}, ${sizes}`
  const how = !skewed || shard.alpha === Number.POSITIVE_INFINITY ? 'even' : `Dirichlet alpha ${shard.alpha}`
  return `${name}, part ${part + 1} of ${shard.of} (${how}; ${text(train + validation)} of ${text(raw.samples)} samples), ${sizes}`
}
