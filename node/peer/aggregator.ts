// The aggregator: hands payloads to a worker thread that decodes, gates and aggregates them, so that this thread only talks.
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { MurmurError } from '../../protocol/errors.ts'
import type { Aggregator } from '../ports.ts'
import { createSharedMemory, type SharedMemory } from '../shared-memory.ts'
import { sibling } from '../sibling.ts'
import { callWorker, type WorkerClient } from '../worker-rpc.ts'
import type { AggregateHandlers } from './aggregate-worker.ts'
import { systemClock } from './clock.ts'

/** Bytes copied into shared memory at a time, about a millisecond's work; between two pieces the event loop has its turn. */
const PIECE_BYTES = 2 * 1024 * 1024

/** The worker starts with the first call. Callers' arrays are read, never changed or detached; they must not change until the call is done. */
export function createAggregator(): Aggregator {
  let worker: WorkerClient<AggregateHandlers> | undefined
  let stopped = false
  function client(): WorkerClient<AggregateHandlers> {
    if (worker !== undefined) return worker
    if (stopped) throw new MurmurError('worker-failed', 'The aggregator was stopped before it was asked.')
    worker = callWorker(new Worker(sibling('./aggregate-worker', import.meta.url)))
    return worker
  }

  const memory = createSharedMemory(systemClock)
  const copyOf = createCopying(memory)

  const inHand = new Set<Promise<unknown>>()
  /** Does `work` with a function that lends shared copies until it is done. */
  function held<T>(work: (share: (bytes: Uint8Array) => Promise<Uint8Array>) => Promise<T>): Promise<T> {
    const lent: Uint8Array[] = []
    const share = async (bytes: Uint8Array) => {
      if (bytes.buffer instanceof SharedArrayBuffer) return bytes
      const copy = await copyOf(bytes)
      lent.push(copy)
      return copy
    }
    const done = work(share).finally(() => {
      inHand.delete(settled)
      for (const copy of lent) memory.giveBack(copy)
    })
    const settled: Promise<unknown> = done.catch(() => {})
    inHand.add(settled)
    return done
  }

  return {
    check: (payload, { length, ...gate }) =>
      held(async (share) => client().call('check', { payload: { ...gate, at: await share(payload) }, length })),
    aggregate: ({ own, inputs, probe, codec, maxAbs, ...settings }) =>
      held(async (share) => {
        const shareFloats = async (values: Float32Array) => {
          const bytes = await share(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
          return new Float32Array(bytes.buffer, bytes.byteOffset, values.length)
        }
        const places = await Promise.all(
          inputs.map(async ({ author, payload }) => {
            const at = payload instanceof Uint8Array ? await share(payload) : payload
            return { author, payload: { codec, maxAbs, at } }
          }),
        )
        return client().call('aggregate', {
          ...settings,
          ...(own && { own: await shareFloats(own) }),
          inputs: places,
          ...(probe && { probe: { authors: [...probe.authors], start: await shareFloats(probe.start) } }),
        })
      }),
    async stop() {
      // A call that is still being handed over has not reached the worker yet.
      await Promise.all(inHand)
      stopped = true
      await worker?.stop()
    },
  }
}

/**
 * Copies in memory that the worker sees without one of its own. Posting bytes instead would clone them in one go, and with them the whole
 * buffer that they are a view of. One at a time, or many small turns would add up to a long one.
 */
function createCopying(memory: SharedMemory): (bytes: Uint8Array) => Promise<Uint8Array> {
  let last: Promise<unknown> = Promise.resolve()
  return (bytes) => {
    const copied = last.then(() => copyPieces(bytes, memory.take(bytes.length)))
    last = copied.catch(() => {})
    return copied
  }
}

async function copyPieces(from: Uint8Array, to: Uint8Array): Promise<Uint8Array> {
  for (let at = 0; at < from.length; at += PIECE_BYTES) {
    to.set(from.subarray(at, at + PIECE_BYTES), at)
    await setImmediate()
  }
  return to
}
