// The Trainer port on onnxruntime: one worker thread that holds the compiled model and looks at the data in shared memory.
import { Worker } from 'node:worker_threads'
import type { InputOptions, LossOptions, OptimizerOptions } from '../../models/index.ts'
import { modelSignature, optimizerSize } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { type Layout, layoutSize } from '../../protocol/layout.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { Trainer } from '../ports.ts'
import { callWorker } from '../worker-rpc.ts'
import { checkDataSet, type DataSet, type DataSets, SPLITS } from './data-set.ts'
import type { Cancel, TrainWorkerHandlers } from './worker.ts'

export interface TrainerOptions {
  /** The hollow ONNX graph, and how its parameters lie in the flat vector. */
  graph: Uint8Array
  layout: Layout
  loss: LossOptions
  optimizer: OptimizerOptions
  work: Pick<Manifest['work'], 'batchSize'>
  input: InputOptions
  data: DataSets
  /** Threads of one run; results repeat bit for bit only for the same count. */
  threads: number
}

/**
 * @throws model-invalid, operator-unsupported, task-unsupported, limit-exceeded for what cannot be trained; data-invalid
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const { graph, layout, loss, optimizer, work, input, data, threads } = options
  const size = layoutSize(layout)
  const state = optimizerSize(optimizer, size)
  const { outputs } = modelSignature(graph)
  const sets: DataSets = { train: shared(data.train), validation: shared(data.validation), ...(data.test && { test: shared(data.test) }) }
  for (const split of SPLITS) {
    const set = sets[split]
    if (set !== undefined) checkDataSet(split, set, input, outputs)
  }

  const workerOptions: TrainerOptions = { graph, layout, loss, optimizer, work, input, data: sets, threads }
  const worker = new Worker(new URL(`./worker${import.meta.filename.slice(-3)}`, import.meta.url), {
    workerData: workerOptions,
    name: 'trainer',
  })
  const client = callWorker<TrainWorkerHandlers>(worker)
  const running = new Set<Cancel>()

  /** Runs `call` with a flag that `signal` or `stop` raises. */
  async function cancellable<T>(signal: AbortSignal | undefined, call: (cancel: Cancel) => Promise<T>): Promise<T> {
    if (signal?.aborted) throw new MurmurError('cancelled', 'The work was stopped on request before it began.')
    const cancel = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
    const raise = () => void Atomics.store(cancel, 0, 1)
    running.add(cancel)
    signal?.addEventListener('abort', raise)
    try {
      return await call(cancel)
    } finally {
      signal?.removeEventListener('abort', raise)
      running.delete(cancel)
    }
  }

  function checkLength(name: string, values: Float32Array, ...lengths: number[]): void {
    if (!lengths.includes(values.length)) {
      throw new MurmurError('bad-argument', `${name} has ${values.length} values; the task's model needs ${lengths.join(' or ')}.`)
    }
  }

  try {
    await client.call('prepare', undefined)
  } catch (error) {
    await client.stop()
    throw error
  }
  return {
    size,
    trainSamples: sets.train.samples,
    validationSamples: sets.validation.samples,
    train: ({ params, optimizer: momentum, steps, millis = Number.POSITIVE_INFINITY, seed, stepsBefore, signal }) =>
      cancellable(signal, (cancel) => {
        checkLength('params', params, size)
        checkLength('optimizer', momentum, 0, state)
        // Copies, which are moved: the caller's vectors stay as they are.
        const copy = params.slice()
        const momentumCopy = momentum.slice()
        return client.call(
          'train',
          { params: copy, optimizer: momentumCopy, steps: Math.max(1, steps), millis, seed, stepsBefore, cancel },
          [copy.buffer, momentumCopy.buffer],
        )
      }),
    evaluate: ({ params, split, samples, signal }) =>
      cancellable(signal, (cancel) => {
        checkLength('params', params, size)
        const copy = params.slice()
        return client.call('evaluate', { params: copy, split, samples, cancel }, [copy.buffer])
      }),
    async stop() {
      for (const cancel of running) Atomics.store(cancel, 0, 1)
      await client.stop()
    },
  }
}

/** The set over shared memory, copied only where it is not there yet. */
function shared({ x, y, samples }: DataSet): DataSet {
  return { x: share(x), y: share(y), samples }
}

function share<T extends Uint8Array | Float32Array | Int32Array | BigInt64Array>(values: T): T {
  if (values.buffer instanceof SharedArrayBuffer) return values
  const copy = new SharedArrayBuffer(values.byteLength)
  new Uint8Array(copy).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  return new (values.constructor as new (buffer: SharedArrayBuffer) => T)(copy)
}
