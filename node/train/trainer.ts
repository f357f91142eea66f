// The Trainer port on onnxruntime: worker threads that hold the compiled model and look at the data in shared memory. They begin with the
// first call and end when none has come for a while: whoever does not train needs neither onnxruntime nor its threads.
import { Worker } from 'node:worker_threads'
import type { InputOptions, LossOptions, OptimizerOptions, TargetOptions } from '../../models/index.ts'
import { loadModel } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { layoutSize } from '../../protocol/layout.ts'
import type { DataSet } from '../data/spec.ts'
import type { Encoded, Trainer } from '../ports.ts'
import { resting } from '../resting.ts'
import { sibling } from '../sibling.ts'
import { callWorker, type WorkerClient } from '../worker-rpc.ts'
import { copyOf } from './copy.ts'
import { checkDataSet, type DataSets, SPLITS } from './data-set.ts'
import type { PayloadRules } from './encoding.ts'
import type { Halt, TrainWorkerHandlers } from './worker.ts'

export interface TrainerOptions {
  /** The hollow ONNX graph. */
  graph: Uint8Array
  loss: LossOptions
  optimizer: OptimizerOptions
  batchSize: number
  input: InputOptions
  target: TargetOptions
  data: DataSets
  /** Threads of one run; results repeat bit for bit only for the same count. Default 1. */
  threads?: number
  /** onnxruntime's execution provider; default cpu. */
  provider?: string
  /** Calls that may run at once, each in a thread of its own; more wait their turn. Default 1. */
  workers?: number
  /** Compile the model now, so that what is wrong with it is told at once (default); otherwise the first call does. */
  prepared?: boolean
  /** Milliseconds without a call after which the workers end; the next call begins them anew. */
  restMillis?: number
}

export type WorkerOptions = Omit<Required<TrainerOptions>, 'workers' | 'prepared' | 'restMillis'>

export interface WorkerTrainer extends Trainer {
  /** The beginning of a vector, what is exchanged of it, as a payload. */
  encode(values: Float32Array, rules: PayloadRules): Promise<Encoded>
}

/** How samples fall into batches, see createBatches. */
export interface BatchOrder {
  shuffle: boolean
  epochs: boolean
  /** Step of the order that comes first. */
  first: number
  /** From the beginning of the training data; default: all. */
  samples?: number
  /** The samples that take part: peers of a lab share one data set. */
  rows?: Int32Array
}

interface Member {
  client: WorkerClient<TrainWorkerHandlers>
  busy: boolean
}

/**
 * @throws model-invalid, operator-unsupported, task-unsupported, limit-exceeded for what cannot be trained; data-invalid
 */
export async function createTrainer(options: TrainerOptions): Promise<WorkerTrainer> {
  const { data, workers = 1, threads = 1, provider = 'cpu', prepared = true, restMillis, ...task } = options
  const size = layoutSize(loadModel(task.graph).layout)
  const sets: DataSets = { train: shared(data.train), validation: shared(data.validation), ...(data.test && { test: shared(data.test) }) }
  for (const split of SPLITS) if (sets[split] !== undefined) checkDataSet(split, sets[split], task)

  const workerOptions: WorkerOptions = { ...task, data: sets, threads, provider }
  const pool = resting(() => createPool(workerOptions, workers), restMillis)
  const running = new Set<Halt>()

  /** Runs `call` on a worker, with a number that `signal` or `stop` raises. */
  async function run<T>(signal: AbortSignal | undefined, call: (client: Member['client'], halt: Halt) => Promise<T>): Promise<T> {
    if (signal?.aborted) throw stoppedBefore()
    const halt = new Float32Array(new SharedArrayBuffer(Float32Array.BYTES_PER_ELEMENT))
    const raise = () => void halt.fill(1)
    running.add(halt)
    signal?.addEventListener('abort', raise)
    try {
      return await pool.use(async ({ take, giveBack }) => {
        const member = await take(signal)
        try {
          if (halt[0] !== 0) throw stoppedBefore()
          return await call(member.client, halt)
        } finally {
          giveBack(member)
        }
      })
    } finally {
      signal?.removeEventListener('abort', raise)
      running.delete(halt)
    }
  }

  /** A copy, which is moved: the caller's vector stays as it is. @throws bad-argument */
  function copyOfParams(params: Float32Array): Promise<Float32Array<ArrayBuffer>> {
    if (params.length === size) return copyOf(params)
    throw new MurmurError('bad-argument', `params has ${params.length} values; the task's model needs ${size}.`)
  }

  async function stop(): Promise<void> {
    for (const halt of running) halt.fill(1)
    await pool.stop()
  }

  if (prepared) {
    try {
      await run(undefined, (client) => client.call('prepare', undefined))
    } catch (error) {
      await stop()
      throw error
    }
  }
  return {
    size,
    trainSamples: sets.train.samples,
    validationSamples: sets.validation.samples,
    train: ({ params, optimizer, steps, millis = Number.POSITIVE_INFINITY, seed, stepsBefore, order, signal }) =>
      run(signal, async (client, halt) => {
        const copies = { params: await copyOfParams(params), optimizer: await copyOf(optimizer) }
        const batches = { shuffle: true, epochs: false, first: 0, ...order }
        return client.call('train', { ...copies, steps: Math.max(1, steps), millis, seed, stepsBefore, order: batches, halt }, [
          copies.params.buffer,
          copies.optimizer.buffer,
        ])
      }),
    evaluate: ({ params, split, samples, rows, signal }) =>
      run(signal, async (client, halt) => {
        const copy = await copyOfParams(params)
        return client.call('evaluate', { params: copy, split, samples, rows, halt }, [copy.buffer])
      }),
    encode: (values, rules) =>
      run(undefined, async (client) => {
        const copy = await copyOf(values)
        return client.call('encode', { values: copy, ...rules }, [copy.buffer])
      }),
    stop,
  }
}

const stoppedBefore = () => new MurmurError('cancelled', 'The work was stopped on request before it began.')

/** Workers that begin as they are needed, at most `most`; each does one thing at a time. */
function createPool(workerData: WorkerOptions, most: number) {
  const members: Member[] = []
  const waiting: ((member: Member) => void)[] = []

  function hire(): Member {
    const url = sibling('./worker', import.meta.url)
    const member = { client: callWorker<TrainWorkerHandlers>(new Worker(url, { workerData, name: 'trainer' })), busy: true }
    members.push(member)
    return member
  }

  return {
    /** A worker that is free now, or a new one while there may be more, or the next to be free. @throws cancelled */
    take(signal: AbortSignal | undefined): Promise<Member> | Member {
      const free = members.find(({ busy }) => !busy)
      if (free !== undefined) {
        free.busy = true
        return free
      }
      if (members.length < most) return hire()
      return new Promise((resolve, reject) => {
        const begin = (member: Member) => {
          signal?.removeEventListener('abort', leave)
          resolve(member)
        }
        const leave = () => {
          waiting.splice(waiting.indexOf(begin), 1)
          reject(stoppedBefore())
        }
        signal?.addEventListener('abort', leave, { once: true })
        waiting.push(begin)
      })
    },
    giveBack(member: Member): void {
      const next = waiting.shift()
      if (next === undefined) member.busy = false
      else next(member)
    },
    async stop(): Promise<void> {
      await Promise.all(members.map(({ client }) => client.stop()))
    },
  }
}

/** The set over shared memory, copied only where it is not there yet. */
function shared({ x, y, samples }: DataSet): DataSet {
  return { x: share(x), y: share(y), samples }
}

function share<T extends Uint8Array | Float32Array | Int32Array>(values: T): T {
  if (values.buffer instanceof SharedArrayBuffer) return values
  const copy = new SharedArrayBuffer(values.byteLength)
  new Uint8Array(copy).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  return new (values.constructor as new (buffer: SharedArrayBuffer) => T)(copy)
}
