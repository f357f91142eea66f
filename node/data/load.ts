// A peer's private data: opened by its format, checked against the task, cut to the peer's own part, and put where workers share it.
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { idxDirectory } from './idx-directory.ts'
import { mnist } from './mnist.ts'
import { dirichletPartition, iidPartition } from './partition.ts'
import type { DataFormat, DataSet, DataSource, RawSamples, ShardOptions } from './spec.ts'
import { splitValidation } from './split.ts'

type DataSchema = Manifest['data']

export interface LoadOptions {
  /** Default: all of it. */
  shard?: ShardOptions | undefined
  /** Share of the part kept for validation, between 0 and 1. */
  validation: number
  /** Seeds the validation split. */
  seed: number | string
  /** Also load the test set, where the source has one. */
  withTest?: boolean
}

export interface LoadedData {
  train: DataSet
  validation: DataSet
  test?: DataSet
  /** One line for people. */
  summary: string
  /** Samples of each class in the part, training and validation together. */
  classes: number[]
}

/** The first that takes a spec opens it. */
const FORMATS: readonly DataFormat[] = [mnist, idxDirectory]

/**
 * @param spec `mnist`, or a path
 * @throws data-missing, data-invalid where it does not fit the task, bad-argument for an impossible part
 */
export async function loadData(spec: string, schema: DataSchema, options: LoadOptions): Promise<LoadedData> {
  const source = await openSource(spec)
  const raw = await source.train()
  checkSamples(raw, schema)
  const { shard } = options
  const part = shard === undefined ? undefined : shardIndex(shard)
  const indices = shard === undefined || part === undefined ? allOf(raw) : cut(raw, shard)[part]!
  const { train, validation } = splitValidation(indices, options.validation, `${options.seed} ${part ?? 'all'}`)
  const loaded: LoadedData = {
    train: gather(raw, train, schema),
    validation: gather(raw, validation, schema),
    summary: summarize(source, raw, { train: train.length, validation: validation.length, part, shard }),
    classes: countClasses(raw.y, indices, classCount(schema)),
  }
  if (!options.withTest || source.test === undefined) return loaded
  const test = await source.test()
  checkSamples(test, schema)
  return { ...loaded, test: gather(test, allOf(test), schema) }
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

async function openSource(spec: string): Promise<DataSource> {
  for (const format of FORMATS) {
    const source = await format.open(spec)
    if (source !== undefined) return source
  }
  throw new MurmurError(
    'data-invalid',
    `${resolve(spec)} is data of an unknown kind; use ${FORMATS.map(({ usage }) => usage).join(' or ')}.`,
  )
}

const cut = (raw: RawSamples, { of, alpha, seed }: ShardOptions): Int32Array[] =>
  alpha === Number.POSITIVE_INFINITY ? iidPartition(raw.samples, of, seed) : dirichletPartition(raw.y, of, alpha, seed)

const allOf = ({ samples }: RawSamples): Int32Array => Int32Array.from({ length: samples }, (_, i) => i)

const classCount = ({ target }: DataSchema): number => (target.kind === 'binary' ? 2 : target.size)

/** @throws data-invalid */
function checkSamples(raw: RawSamples, { input, target }: DataSchema): void {
  const shapes = `${raw.sampleShape.join('x') || 'single values'}`
  // 28x28, 1x28x28 and 784 lie in memory alike.
  if (sizeOf(raw.sampleShape) !== sizeOf(input.shape)) {
    throw new MurmurError('data-invalid', `${raw.inputsFrom} holds samples of ${shapes}, but the task takes ${input.shape.join('x')}.`)
  }
  const dtype = raw.x instanceof Uint8Array ? 'uint8' : 'float32'
  if (input.dtype !== dtype && !(dtype === 'uint8' && input.dtype === 'float32')) {
    throw new MurmurError('data-invalid', `${raw.inputsFrom} holds ${dtype} values, but the task takes ${input.dtype}.`)
  }
  if (dtype === 'float32') {
    const at = raw.x.findIndex((value) => !Number.isFinite(value))
    if (at >= 0) throw new MurmurError('data-invalid', `${raw.inputsFrom} holds ${raw.x[at]} as value ${at}; remove or replace it.`)
  }
  if (target.kind !== 'class' && target.kind !== 'binary') {
    throw new MurmurError('data-invalid', `${raw.labelsFrom} holds classes, but the task predicts ${target.kind}.`)
  }
  const classes = target.kind === 'binary' ? 2 : target.size
  const at = raw.y.findIndex((label) => label < 0 || label >= classes)
  if (at >= 0) {
    throw new MurmurError(
      'data-invalid',
      `${raw.labelsFrom} holds label ${raw.y[at]} for sample ${at}, but the task's classes go from 0 to ${classes - 1}.`,
    )
  }
}

/** Copies the chosen samples into shared memory, as the type the task takes. */
function gather(raw: RawSamples, indices: Int32Array, { input }: DataSchema): DataSet {
  const size = sizeOf(raw.sampleShape)
  const count = indices.length
  const x =
    input.dtype === 'uint8'
      ? new Uint8Array(new SharedArrayBuffer(count * size))
      : new Float32Array(new SharedArrayBuffer(count * size * Float32Array.BYTES_PER_ELEMENT))
  const y = new Int32Array(new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT))
  indices.forEach((index, i) => {
    x.set(raw.x.subarray(index * size, (index + 1) * size), i * size)
    y[i] = raw.y[index]!
  })
  return { x, y, samples: count, sampleShape: [...input.shape] }
}

function countClasses(labels: Int32Array, indices: Int32Array, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0)
  for (const index of indices) counts[labels[index]!]!++
  return counts
}

function summarize(
  source: DataSource,
  raw: RawSamples,
  { train, validation, part, shard }: { train: number; validation: number; part: number | undefined; shard: ShardOptions | undefined },
): string {
  const text = (count: number) => count.toLocaleString('en')
  const sizes = `${text(train)} samples to train on, ${text(validation)} to validate with`
  if (shard === undefined || part === undefined) return `${source.name}, ${sizes}`
  const how = shard.alpha === Number.POSITIVE_INFINITY ? 'even' : `Dirichlet alpha ${shard.alpha}`
  return `${source.name}, part ${part + 1} of ${shard.of} (${how}; ${text(train + validation)} of ${text(raw.samples)} samples), ${sizes}`
}
