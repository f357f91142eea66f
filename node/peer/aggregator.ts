// The aggregator: hands payloads to a worker thread that decodes, gates and aggregates them, so that this thread only talks.
import { extname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { AggregateRequest, Aggregator } from '../ports.ts'
import { callWorker } from '../worker-rpc.ts'
import type { AggregateHandlers } from './aggregate-worker.ts'

/** Bytes copied into shared memory at a time, about a millisecond's work; between two pieces the event loop has its turn. */
const PIECE_BYTES = 2 * 1024 * 1024

/** Starts the worker. Callers' arrays are read, never changed or detached; they must not change until the call is done. */
export function createAggregator(): Aggregator {
  // The same extension as this file has: .ts in a clone, .js in the published package.
  const worker = new Worker(new URL(`./aggregate-worker${extname(import.meta.url)}`, import.meta.url))
  const { call, stop } = callWorker<AggregateHandlers>(worker)
  const share = createSharer()

  const inHand = new Set<Promise<unknown>>()
  const held = <T>(work: Promise<T>): Promise<T> => {
    const settled: Promise<unknown> = work.then(
      () => inHand.delete(settled),
      () => inHand.delete(settled),
    )
    inHand.add(settled)
    return work
  }

  return {
    check: (payload, request) => held(check(payload, request)),
    aggregate: (request) => held(aggregate(request)),
    async stop() {
      // A call that is still being handed over has not reached the worker yet.
      await Promise.all(inHand)
      await stop()
    },
  }

  async function check(payload: Uint8Array, { codec, length, maxAbs }: Parameters<Aggregator['check']>[1]) {
    return call('check', { payload: await share(payload), codec, length, maxAbs })
  }

  async function aggregate({ own, inputs, probe, ...settings }: AggregateRequest) {
    const payloads = await Promise.all(inputs.map(async ({ author, payload }) => ({ author, payload: await share(payload) })))
    return call('aggregate', {
      ...settings,
      ...(own && { own: await shareFloats(own) }),
      inputs: payloads,
      ...(probe && { probe: { authors: [...probe.authors], start: await shareFloats(probe.start) } }),
    })
  }

  async function shareFloats(values: Float32Array): Promise<Float32Array> {
    const bytes = await share(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    return new Float32Array(bytes.buffer, bytes.byteOffset, values.length)
  }
}

/**
 * Puts bytes into memory that the worker sees without a copy of its own. Posting them instead would clone them in one go, and with them
 * the whole buffer that they are a view of. One at a time, or many small turns would add up to a long one.
 */
function createSharer(): (bytes: Uint8Array) => Promise<Uint8Array> {
  let last: Promise<unknown> = Promise.resolve()
  return (bytes) => {
    if (bytes.buffer instanceof SharedArrayBuffer) return Promise.resolve(bytes)
    const shared = last.then(() => copyShared(bytes))
    last = shared.catch(() => {})
    return shared
  }
}

async function copyShared(bytes: Uint8Array): Promise<Uint8Array> {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    shared.set(bytes.subarray(at, at + PIECE_BYTES), at)
    await setImmediate()
  }
  return shared
}
