// The product's own trainer on one of the benchmark's tasks.
import { splitWeights } from '../../../models/index.ts'
import type { Trainer, TrainRequest } from '../../../node/ports.ts'
import { createTrainer } from '../../../node/train/trainer.ts'
import { manifestSchema } from '../../../protocol/manifest.ts'
import { type ModelName, taskOf } from './cases.ts'

export const LOSS = { kind: 'cross-entropy' } as const
export const OPTIMIZER = manifestSchema.shape.optimizer.parse({ kind: 'sgd', learningRate: 0.001, momentum: 0.9 })

export interface BenchTrainer {
  trainer: Trainer
  /** Trains from where the last call ended; calls that run at once should begin from `request`. */
  run(steps: number): Promise<void>
  request: Omit<TrainRequest, 'steps'>
}

export async function trainerOf(name: ModelName, batchSize: number, workers = 1): Promise<BenchTrainer> {
  const { bytes, input, target, data } = taskOf(name)
  const { graph, params } = splitWeights(bytes)
  const validation = { x: data.x.subarray(0, 0), y: data.y.subarray(0, 0), samples: 0 }
  const trainer = await createTrainer({
    graph,
    loss: LOSS,
    optimizer: OPTIMIZER,
    batchSize,
    input,
    target,
    data: { train: data, validation },
    threads: 1,
    workers,
  })
  const request: BenchTrainer['request'] = { params, optimizer: new Float32Array(0), seed: 1, stepsBefore: 0 }
  return {
    trainer,
    request,
    async run(steps) {
      const result = await trainer.train({ ...request, steps })
      Object.assign(request, { params: result.params, optimizer: result.optimizer, stepsBefore: request.stepsBefore + result.steps })
    },
  }
}
