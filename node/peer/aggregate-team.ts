// Threads that aggregate together: whoever calls does its own part of each job and waits for the others, so never the main thread.
// Which part is next, and how many are done, stands in the kernels' shared memory.
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import {
  CONTROL_AT,
  createPerformer,
  type Job,
  MOST_THREADS,
  type Performer,
  partsOf,
  type SharedMemory,
  type Team,
} from '../../protocol/aggregation/kernels/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { sibling } from '../sibling.ts'
import type { HelperMessage } from './aggregate-helper.ts'
import type { Source } from './aggregate-source.ts'

/** Bytes of payloads from which helpers are started: fewer are decoded and aggregated before a thread has started. */
const TEAM_BYTES = 16 * 1024 * 1024
/** Milliseconds without any part being done after which a helper is taken for dead: a part is 16 MB of floats at most. */
const STALLED_MILLIS = 60_000

/** Places in the control words: the job's number and the next part, parts done, and whether one failed. */
const [CLAIM, DONE, FAILED] = [0, 1, 2]
const PART_BITS = 8
const JOB_NUMBERS = 2 ** 23

export interface PeerTeam extends Team<Source> {
  /** Ends the helpers. */
  stop(): Promise<void>
}

/** @param threads that work at a time, this one included; @param teamBytes of payloads from which on they do */
export function createTeam(threads = Math.min(MOST_THREADS, availableParallelism()), teamBytes = TEAM_BYTES): PeerTeam {
  let helpers: { worker: Worker; ended: Promise<unknown> }[] = []
  let control: Int32Array = new Int32Array()
  let performer: Performer | undefined
  let used: SharedMemory | undefined
  let number = 0

  const tell = (message: HelperMessage) => {
    for (const { worker } of helpers) worker.postMessage(message)
  }

  function start(): void {
    const url = sibling('./aggregate-helper', import.meta.url)
    helpers = Array.from({ length: threads - 1 }, (_, i) => {
      const worker = new Worker(url, { workerData: { thread: i + 1 } })
      // What it leaves undone is noticed by whoever waits for it.
      worker.on('error', () => {})
      worker.unref()
      return { worker, ended: new Promise((resolve) => worker.once('exit', resolve)) }
    })
  }

  function alone(job: Job, parts: number): void {
    for (let part = 0; part < parts; part++) performer!.perform(job, part)
  }

  return {
    use(memory, sources) {
      const bytes = sources.reduce((sum, { size }) => sum + size, 0)
      const starts = helpers.length === 0 && bytes >= teamBytes
      if (starts) start()
      if (memory !== used) {
        performer = createPerformer(memory, 0)
        control = controlOf(memory)
      }
      if (starts || memory !== used) tell({ memory })
      used = memory
      performer!.use(sources)
      tell({ places: sources.map(({ place }) => place) })
    },
    run(job) {
      const parts = partsOf(job)
      if (helpers.length === 0 || parts < 2) return alone(job, parts)
      number = (number + 1) % JOB_NUMBERS
      Atomics.store(control, DONE, 0)
      Atomics.store(control, FAILED, 0)
      Atomics.store(control, CLAIM, number << PART_BITS)
      tell({ number, job })
      takeParts(control, performer!, number, job)
      for (let done = Atomics.load(control, DONE); done < parts; done = Atomics.load(control, DONE)) {
        if (Atomics.wait(control, DONE, done, STALLED_MILLIS) === 'timed-out' && Atomics.load(control, DONE) === done) {
          throw new MurmurError('worker-failed', `A thread that helps to aggregate did not answer for ${STALLED_MILLIS / 1000} s.`)
        }
      }
      // Done again here, what went wrong shows itself, or it was the helper's own trouble.
      if (Atomics.load(control, FAILED) !== 0) alone(job, parts)
    },
    async stop() {
      for (const { worker } of helpers) worker.ref()
      tell({ stop: true })
      await Promise.all(helpers.map(({ ended }) => ended))
      helpers = []
    },
  }
}

export const controlOf = (memory: SharedMemory): Int32Array => new Int32Array(memory.buffer, CONTROL_AT, 3)

/** Performs parts of a job for as long as there are any that nobody has taken. */
export function takeParts(control: Int32Array, performer: Performer, number: number, job: Job): void {
  for (let part = claim(control, number, partsOf(job)); part !== undefined; part = claim(control, number, partsOf(job))) {
    try {
      performer.perform(job, part)
    } catch {
      Atomics.store(control, FAILED, 1)
    }
    Atomics.add(control, DONE, 1)
    Atomics.notify(control, DONE)
  }
}

/** The next part; undefined where all are taken, or it is another job's turn by now. */
function claim(control: Int32Array, number: number, parts: number): number | undefined {
  for (;;) {
    const word = Atomics.load(control, CLAIM)
    const part = word & (2 ** PART_BITS - 1)
    if (word >>> PART_BITS !== number || part >= parts) return undefined
    if (Atomics.compareExchange(control, CLAIM, word, word + 1) === word) return part
  }
}
