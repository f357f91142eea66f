// Data larger than memory: a window of samples that is filled again and again, in place, with the next part of a pass over all of them.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { checkSamples } from './check-samples.ts'
import { sharedSet } from './sample-memory.ts'
import { sampleBytes } from './sample-parts.ts'
import type { DataSchema, DataSet, SampleRows } from './spec.ts'
import { type Piece, planStream } from './stream-plan.ts'

export interface WindowOptions {
  /** Bytes that samples may take in memory. */
  bytes: number
  /** Windows hold whole batches of this size, so that only a pass's last batch is smaller. */
  batchSize: number
  /** Fill a window with no more than this many steps take; default: as much as there is memory for. */
  steps?: number
  /** Default true: blocks of samples in a new order each pass. */
  shuffle?: boolean
  /** What the task asks of samples beyond their schema; throws where they are not that. */
  check?: (set: DataSet) => void
}

export interface DataStream {
  /** Samples of a pass. */
  samples: number
  /** Samples of a window; the last of a pass may hold fewer. */
  windowSamples: number
  /** Windows of a pass. */
  windows: number
  /**
   * Fills the training data with a window, counted from 0 over all passes: the same seed and number give the same samples. Begins to
   * read the one after it. Not while a training run reads the data.
   * @returns the samples that it holds, at the beginning of the training data
   * @throws data-invalid, data-missing
   */
  load(window: number): Promise<number>
}

/** Bytes of a piece that is copied without a pause: a few milliseconds of a thread that also talks to other peers. */
const COPY_BYTES = 4 * 1024 * 1024
/** Share of the memory for validation samples: the rest holds a window and the next one. */
const VALIDATION_SHARE = 1 / 8

export interface StreamedData {
  train: DataSet
  validation: DataSet
  /** Absent where the part fits in memory after all. */
  stream?: DataStream
  /** Samples of the peer's part. */
  samples: number
}

/** @throws data-invalid, data-missing, limit-exceeded */
export async function streamData(
  rows: SampleRows,
  schema: DataSchema,
  window: WindowOptions,
  cut: { part: number; of: number; seed: number | string; validation: number; splitSeed: number | string },
): Promise<StreamedData> {
  const bytes = sampleBytes(rows, schema)
  const plan = planStream(rows.samples, bytes, { ...cut, mostValidation: Math.floor((window.bytes * VALIDATION_SHARE) / bytes) })
  const validation = sharedSet(schema, rows, plan.validationSamples)
  await fill(validation, plan.validation)
  const left = window.bytes - validation.samples * bytes
  if (plan.samples * bytes <= left) {
    const train = sharedSet(schema, rows, plan.samples)
    await fill(train, plan.window(0, 0, plan.samples, false))
    return { train, validation, samples: plan.samples + plan.validationSamples }
  }

  const { batchSize, steps = Number.POSITIVE_INFINITY, shuffle = true, check } = window
  const batches = Math.min(Math.floor(left / 2 / bytes / batchSize), steps)
  if (batches < 1) {
    throw new MurmurError(
      'limit-exceeded',
      `Two batches of ${batchSize} samples take ${2 * batchSize * bytes} bytes, and --memory leaves ${left} for them; raise it, or take smaller batches.`,
    )
  }
  // As even as whole batches allow.
  const atMost = batches * batchSize
  const even = Math.ceil(plan.samples / Math.ceil(plan.samples / atMost) / batchSize) * batchSize
  const windowSamples = Math.min(plan.samples, even)
  const windows = Math.ceil(plan.samples / windowSamples)
  const train = sharedSet(schema, rows, windowSamples)
  const staging = sharedSet(schema, rows, windowSamples)
  let staged: { window: number; done: Promise<void> } | undefined
  let loaded = 0
  let queue: Promise<unknown> = Promise.resolve()

  const countOf = (window: number) => Math.min(windowSamples, plan.samples - (window % windows) * windowSamples)
  const piecesOf = (window: number) =>
    plan.window(Math.floor(window / windows), (window % windows) * windowSamples, countOf(window), shuffle)
  const stage = (window: number) => {
    const done = fill(staging, piecesOf(window)).then(() => check?.(staging))
    // Told when the window is asked for.
    done.catch(() => {})
    staged = { window, done }
  }

  async function load(window: number): Promise<number> {
    if (window === loaded) return countOf(window)
    if (staged?.window !== window) {
      await staged?.done.catch(() => {})
      stage(window)
    }
    await staged!.done
    await copy(staging, train)
    loaded = window
    stage(window + 1)
    return countOf(window)
  }

  await fill(train, piecesOf(0))
  stage(1)
  return {
    ...{ train, validation, samples: plan.samples + plan.validationSamples },
    stream: {
      ...{ samples: plan.samples, windowSamples, windows },
      load: (window) => {
        const filled = queue.then(() => load(window))
        queue = filled.catch(() => {})
        return filled
      },
    },
  }

  async function fill(set: DataSet, pieces: Iterable<Piece>): Promise<void> {
    let at = 0
    for (const { begin, end } of pieces) {
      const part = await rows.rows(begin, end)
      checkSamples(part, schema)
      set.x.set(part.x, at * sizeOf(rows.sampleShape))
      set.y.set(part.y, at * sizeOf(rows.labelShape))
      at += part.samples
    }
  }

  async function copy(from: DataSet, to: DataSet): Promise<void> {
    const step = Math.max(1, Math.floor(COPY_BYTES / bytes))
    for (let begin = 0; begin < from.samples; begin += step) {
      const end = Math.min(from.samples, begin + step)
      for (const [values, target, size] of [
        [from.x, to.x, sizeOf(rows.sampleShape)],
        [from.y, to.y, sizeOf(rows.labelShape)],
      ] as const) {
        target.set(values.subarray(begin * size, end * size), begin * size)
      }
      await new Promise((resolve) => void setImmediate(resolve))
    }
  }
}
