// The aggregator: hands payloads to a worker thread that decodes, gates and aggregates them, so that this thread only talks.
import { extname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { MurmurError } from '../../protocol/errors.ts'
import type { Aggregator } from '../ports.ts'
import { callWorker, type WorkerClient } from '../worker-rpc.ts'
import type { AggregateHandlers } from './aggregate-worker.ts'

/** Bytes copied into shared memory at a time, about a millisecond's work; between two pieces the event loop has its turn. */
const PIECE_BYTES = 2 * 1024 * 1024
/** Bytes of shared memory kept for the next round: fresh memory costs more than what is copied into it. */
const KEPT_BYTES = 64 * 1024 * 1024

/** The worker starts with the first call. Callers' arrays are read, never changed or detached; they must not change until the call is done. */
export function createAggregator(): Aggregator {
  let worker: WorkerClient<AggregateHandlers> | undefined
  let stopped = false
  function client(): WorkerClient<AggregateHandlers> {
    if (worker !== undefined) return worker
    if (stopped) throw new MurmurError('worker-failed', 'The aggregator was stopped before it was asked.')
    // The same extension as this file has: .ts in a clone, .js in the published package.
    worker = callWorker(new Worker(new URL(`./aggregate-worker${extname(import.meta.url)}`, import.meta.url)))
    return worker
  }

  const copies = createCopies()

  const inHand = new Set<Promise<unknown>>()
  /** Does `work` with a function that lends shared copies until it is done. */
  function held<T>(work: (share: (bytes: Uint8Array) => Promise<Uint8Array>) => Promise<T>): Promise<T> {
    const lent: Uint8Array[] = []
    const share = async (bytes: Uint8Array) => {
      if (bytes.buffer instanceof SharedArrayBuffer) return bytes
      const copy = await copies.copyOf(bytes)
      lent.push(copy)
      return copy
    }
    const done = work(share).finally(() => {
      inHand.delete(settled)
      for (const copy of lent) copies.giveBack(copy)
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
function createCopies() {
  /** Not lent now, the longest unused first. */
  const free: Uint8Array[] = []
  let last: Promise<unknown> = Promise.resolve()

  function take(length: number): Uint8Array {
    const at = free.findLastIndex((copy) => copy.length === length)
    return at < 0 ? new Uint8Array(new SharedArrayBuffer(length)) : free.splice(at, 1)[0]!
  }

  return {
    copyOf(bytes: Uint8Array): Promise<Uint8Array> {
      const copied = last.then(() => copyPieces(bytes, take(bytes.length)))
      last = copied.catch(() => {})
      return copied
    },
    giveBack(copy: Uint8Array): void {
      free.push(copy)
      for (let bytes = bytesOf(free); bytes > KEPT_BYTES; bytes = bytesOf(free)) free.shift()
    },
  }
}

const bytesOf = (copies: readonly Uint8Array[]): number => copies.reduce((sum, { length }) => sum + length, 0)

async function copyPieces(from: Uint8Array, to: Uint8Array): Promise<Uint8Array> {
  for (let at = 0; at < from.length; at += PIECE_BYTES) {
    to.set(from.subarray(at, at + PIECE_BYTES), at)
    await setImmediate()
  }
  return to
}
