// What a peer learns with: its data, and the trainer and the aggregator, whose threads begin once they have something to do.
import { loadModel, splitWeights, trainingNotes, variancesIn } from '../../models/index.ts'
import { isZooModel, zooModel } from '../../models/zoo/index.ts'
import { layoutSize, sizeOf } from '../../protocol/layout.ts'
import type { Task } from '../../protocol/task.ts'
import { type LoadedData, loadData } from '../data/load.ts'
import { poisoned } from '../lab/poisoned.ts'
import { dataOf, type LocalOptions } from '../options.ts'
import type { Aggregator } from '../ports.ts'
import { resting } from '../resting.ts'
import { checkDataSet, evaluationBatch } from '../train/data-set.ts'
import { runLimited } from '../train/limited.ts'
import { createTrainer, type TrainerOptions } from '../train/trainer.ts'
import { createAggregator } from './aggregator.ts'
import type { PeerParts } from './parts.ts'
import { gateVariances } from './variances.ts'

interface LearningOptions {
  task: Task
  /** The task's model, without weights. */
  graph: Uint8Array
  local: LocalOptions
  peerId: string
  /** The model was never used in this directory. */
  isNew: boolean
  onProgress(text: string): void
  signal: AbortSignal
}

export interface Learning {
  parts: Pick<PeerParts, 'trainer' | 'aggregator' | 'encode' | 'loadData' | 'testAtEnd'>
  /** What the data is, in words. */
  summary: string
  stop(): Promise<void>
}

type Subject = Omit<TrainerOptions, 'data' | 'workers' | 'prepared' | 'restMillis'> & Pick<LocalOptions, 'threads' | 'provider'>

const MIB = 1024 * 1024

/** Reads the data and tries a model that is not known. @throws what is wrong with either, in one sentence */
export async function prepareLearning(options: LearningOptions): Promise<Learning> {
  const { task, graph, local, peerId, isNew, onProgress } = options
  onProgress('Reading the data ...')
  const data = poisoned(await readData(local, task, peerId, onProgress), local.misbehave, task.manifest, peerId)
  try {
    onProgress(`Data: ${data.summary}.`)
    const { loss, optimizer, work, data: schema, codec, limits } = task.manifest
    const { threads, provider } = local
    const { batchSize } = work
    const subject: Subject = { graph, loss, optimizer, batchSize, input: schema.input, target: schema.target, threads, provider }
    if (isNew) {
      // What an unknown model asks for, also to be understood, it asks for elsewhere.
      const isKnown = provider === 'cpu' && isBuiltIn(task, graph)
      for (const note of isKnown ? trainingNotes(graph, subject) : await tryModel(task, subject, data, options)) onProgress(note)
    }
    const trainer = await createTrainer({ ...subject, data, prepared: false })
    const aggregator = restingAggregator()
    return {
      summary: data.summary,
      parts: {
        trainer,
        aggregator: gateVariances(aggregator, variancesIn(loadModel(graph))),
        encode: (vector) => trainer.encode(vector.subarray(0, task.exchanged), { codec, maxAbs: limits.maxAbs }),
        ...(data.stream && { loadData: data.stream.load }),
        testAtEnd: local.test && data.test !== undefined,
      },
      async stop() {
        await Promise.all([trainer.stop(), aggregator.stop()])
        await data.close?.()
      },
    }
  } catch (error) {
    await data.close?.()
    throw error
  }
}

/** Without a thread while there is nothing to aggregate. */
function restingAggregator(): Aggregator {
  const { use, stop } = resting(createAggregator)
  return {
    check: (payload, request) => use((awake) => awake.check(payload, request)),
    aggregate: (request) => use((awake) => awake.aggregate(request)),
    stop,
  }
}

function readData(local: LocalOptions, task: Task, peerId: string, tell: (text: string) => void): Promise<LoadedData> {
  const { data, ...selection } = dataOf(local)
  const [index = '', of = ''] = (local.shard ?? '').split('/')
  const common = { of: Number(of), alpha: local.alpha, seed: local.dataSeed }
  const shard = index === 'auto' ? { byPeerId: peerId, ...common } : { index: Number(index) - 1, ...common }
  const { work, loss, data: schema } = task.manifest
  return loadData(data, schema, {
    selection,
    ...(local.shard !== undefined && { shard }),
    validation: local.validation,
    seed: local.dataSeed,
    withTest: local.test,
    window: {
      bytes: local.memory * MIB,
      // A round's training sees each sample of its window once.
      ...{ batchSize: work.batchSize, steps: work.steps },
      check: (set) => checkDataSet('train', set, { ...schema, loss }),
    },
    tell,
  })
}

/** Numbers of a batch up to which our own models are known to take little memory. */
const SMALL_BATCH = 2 ** 20

/** Whether a stranger's model is one of our own, which need no trial with batches of a usual size. */
const isBuiltIn = ({ manifest: { model, work, data } }: Task, graph: Uint8Array): boolean =>
  isZooModel(model.name) &&
  work.batchSize * sizeOf(data.input.shape) <= SMALL_BATCH &&
  Buffer.compare(splitWeights(zooModel(model.name, 1)).graph, graph) === 0

/** @returns what training does that a user may not expect. @throws limit-exceeded, model-invalid */
async function tryModel(
  task: Task,
  learning: Subject,
  { train, validation, test }: LoadedData,
  { onProgress, signal }: Pick<LearningOptions, 'onProgress' | 'signal'>,
): Promise<string[]> {
  onProgress('Trying the model in a process of its own, under limits of time and memory ...')
  const onWait = (seconds: number) => onProgress(`Still trying the model, ${seconds} s ...`)
  const sets = [train, validation, ...(test === undefined ? [] : [test])].filter(({ samples }) => samples > 0)
  const evaluationBatches = sets.map((set) => evaluationBatch(set))
  const job = { kind: 'step', ...learning, evaluationBatches, parameters: layoutSize(task.layout) } as const
  return (await runLimited(job, { signal, onWait })).notes
}
