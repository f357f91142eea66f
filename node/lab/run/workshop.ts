// The threads that all virtual peers share: they train and evaluate any peer's model on its rows of the one data set, and aggregate.
import { availableParallelism } from 'node:os'
import { createAggregator } from '../../peer/aggregator.ts'
import { gateVariances } from '../../peer/variances.ts'
import type { Aggregator } from '../../ports.ts'
import { createTrainer, type WorkerTrainer } from '../../train/trainer.ts'
import { referenceAggregator } from './reference-aggregator.ts'
import { isProduct, type Subject } from './subject.ts'

export interface Workshop {
  trainer: WorkerTrainer
  aggregator: Aggregator
  stop(): Promise<void>
}

/** Calls that the threads of one kind have in hand. */
interface Load {
  aggregator: Aggregator
  calls: number
}

/** @throws model-invalid, operator-unsupported, data-invalid */
export async function openWorkshop({ task, graph, sets, variances }: Subject, workers = availableParallelism()): Promise<Workshop> {
  const { loss, optimizer, work, data, rule } = task.manifest
  const trainer = await createTrainer({
    ...{ graph, loss, optimizer, batchSize: work.batchSize, input: data.input, target: data.target },
    ...{ data: sets, workers },
  })
  const team = Array.from({ length: workers }, () => (isProduct(rule) ? createAggregator() : referenceAggregator()))
  return {
    trainer,
    aggregator: gateVariances(checkingOnce(spread(team)), variances),
    async stop() {
      await Promise.all([trainer.stop(), ...team.map((aggregator) => aggregator.stop())])
    },
  }
}

/** Each call goes to the one with the fewest in hand. */
function spread(team: readonly Aggregator[]): Aggregator {
  const loads: Load[] = team.map((aggregator) => ({ aggregator, calls: 0 }))
  async function use<T>(call: (aggregator: Aggregator) => Promise<T>): Promise<T> {
    const least = loads.reduce((x, y) => (y.calls < x.calls ? y : x))
    least.calls++
    try {
      return await call(least.aggregator)
    } finally {
      least.calls--
    }
  }
  return {
    check: (payload, request) => use((aggregator) => aggregator.check(payload, request)),
    aggregate: (request) => use((aggregator) => aggregator.aggregate(request)),
    stop: async () => {},
  }
}

/** The same bytes pass the gate, or not, at every peer. */
function checkingOnce(aggregator: Aggregator): Aggregator {
  const known = new WeakMap<Uint8Array, ReturnType<Aggregator['check']>>()
  return {
    ...aggregator,
    check(payload, request) {
      const before = known.get(payload)
      if (before !== undefined) return before
      const verdict = aggregator.check(payload, request)
      known.set(payload, verdict)
      return verdict
    },
  }
}
