// The aggregator port for rules that are written to be compared with: in float64 and without kernels, in a thread of its own.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Aggregator } from '../../ports.ts'
import { callWorker, type WorkerClient } from '../../worker-rpc.ts'
import type { ReferenceHandlers } from './reference-worker.ts'

export function referenceAggregator(): Aggregator {
  let worker: WorkerClient<ReferenceHandlers> | undefined
  const client = (): WorkerClient<ReferenceHandlers> => {
    // The same extension as this file has: .ts in a clone, .js in the published package.
    worker ??= callWorker(new Worker(new URL(`./reference-worker${extname(import.meta.url)}`, import.meta.url)))
    return worker
  }
  return {
    check: (payload, request) => client().call('check', { payload, ...request }),
    aggregate: (request) => client().call('aggregate', request),
    stop: async () => await worker?.stop(),
  }
}
