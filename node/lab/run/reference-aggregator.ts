// The aggregator port for rules that are written to be compared with: in float64 and without kernels, in a thread of its own.
import { Worker } from 'node:worker_threads'
import type { Aggregator } from '../../ports.ts'
import { sibling } from '../../sibling.ts'
import { callWorker, type WorkerClient } from '../../worker-rpc.ts'
import type { ReferenceHandlers } from './reference-worker.ts'

export function referenceAggregator(): Aggregator {
  let worker: WorkerClient<ReferenceHandlers> | undefined
  const client = (): WorkerClient<ReferenceHandlers> => {
    worker ??= callWorker(new Worker(sibling('./reference-worker', import.meta.url)))
    return worker
  }
  return {
    check: (payload, request) => client().call('check', { payload, ...request }),
    aggregate: (request) => client().call('aggregate', request),
    stop: async () => await worker?.stop(),
  }
}
