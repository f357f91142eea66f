// The thread that trains: compiles the model's graphs, keeps their sessions and the data, and answers the trainer's calls.
import { setPriority } from 'node:os'
import { workerData } from 'node:worker_threads'
import type { InferenceSession, Tensor } from 'onnxruntime-node'
import { compileEvaluation, compileTraining, learningRateAt, loadModel, optimizerSize } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { layoutSize } from '../../protocol/layout.ts'
import type { Evaluation, TrainResult } from '../ports.ts'
import { serveWorker, transferring } from '../worker-rpc.ts'
import { createBatches, strided } from './batches.ts'
import { labelType, type Split } from './data-set.ts'
import { createPace } from './pace.ts'
import { createSession, dataFeeds, floats, floatsOf, rows } from './session.ts'
import type { TrainerOptions } from './trainer.ts'

/** Samples of an evaluation's run: larger ones are no faster for a small CNN, and their activations take memory. */
const EVALUATION_BATCH = 100

/** Niceness of this thread. */
const TRAINING_PRIORITY = 10

/** A flag that the trainer raises to stop a call between two runs. */
export type Cancel = Int32Array

export interface TrainCall {
  params: Float32Array
  optimizer: Float32Array
  steps: number
  millis: number
  seed: number
  stepsBefore: number
  cancel: Cancel
}

export interface EvaluateCall {
  params: Float32Array
  split: Split
  samples: number | undefined
  cancel: Cancel
}

const { graph, layout, loss, optimizer, work, input, data, threads } = workerData as TrainerOptions
const model = loadModel(graph)
const size = layoutSize(layout)
const { batchSize } = work
const pace = createPace()
const sessions: InferenceSession[] = []
let training: Promise<InferenceSession> | undefined
const evaluations = new Map<Split, { batch: number; session: Promise<InferenceSession> }>()

async function open(bytes: Uint8Array): Promise<InferenceSession> {
  const session = await createSession(bytes, threads)
  sessions.push(session)
  return session
}

function trainingSession(): Promise<InferenceSession> {
  const labels = labelType(data.train.y)
  training ??= open(compileTraining(model, { layout, loss, optimizer, input, batchSize, labels }))
  return training
}

function evaluationSession(split: Split): { batch: number; session: Promise<InferenceSession> } {
  const set = data[split]!
  const batch = Math.min(EVALUATION_BATCH, set.samples)
  const known = evaluations.get(split)
  if (known !== undefined) return known
  const bytes = compileEvaluation(model, { layout, loss, input, batchSize: batch, labels: labelType(set.y) })
  const made = { batch, session: open(bytes) }
  evaluations.set(split, made)
  return made
}

function checkCancel(cancel: Cancel): void {
  if (Atomics.load(cancel, 0) !== 0) throw new MurmurError('cancelled', 'The training or evaluation was stopped on request.')
}

function allFinite(values: Float32Array): boolean {
  // Neither NaN nor an infinity minus itself is zero; a plain loop is ten times as fast as every(Number.isFinite).
  for (const value of values) if (value - value !== 0) return false
  return true
}

/** Runs blocks of steps until `steps` are done or `millis` are over. How the steps fall into blocks does not change the numbers. */
async function train({ steps, millis, seed, stepsBefore, cancel, ...start }: TrainCall): Promise<TrainResult> {
  const begin = performance.now()
  const session = await trainingSession()
  const batches = createBatches(data.train.samples, seed)
  const constant = { ...dataFeeds(data.train, input.shape), ...(optimizer.proximal > 0 && { anchor: floats(start.params, size) }) }
  const state = optimizerSize(optimizer, size)
  let params = start.params
  let momentum = start.optimizer.length === 0 ? new Float32Array(state) : start.optimizer
  const losses: number[] = []
  while (losses.length < steps) {
    checkCancel(cancel)
    const left = millis - (performance.now() - begin)
    if (losses.length > 0 && left <= 0) break
    const count = pace.next(steps - losses.length, Math.max(0, left))
    const index = new Int32Array(count * batchSize)
    batches(index)
    const first = stepsBefore + losses.length
    const rates = Float32Array.from({ length: count }, (_, i) => learningRateAt(optimizer, first + i))
    const runBegin = performance.now()
    const result = await session.run({
      ...constant,
      params: floats(params, size),
      optimizer: floats(momentum, state),
      index: rows(index, count, batchSize),
      lr: floats(rates, count),
    })
    pace.ran(count, performance.now() - runBegin)
    const blockLosses = floatsOf(result.losses)
    params = floatsOf(result.new_params)
    momentum = floatsOf(result.new_optimizer)
    checkFinite(blockLosses, [params, momentum], first)
    losses.push(...blockLosses)
  }
  const value: TrainResult = {
    params: own(params),
    optimizer: own(momentum),
    steps: losses.length,
    samples: losses.length * batchSize,
    loss: losses.reduce((sum, each) => sum + each, 0) / losses.length,
    losses: Float32Array.from(losses),
    millis: performance.now() - begin,
  }
  return transferring(value, [value.params.buffer as ArrayBuffer, value.optimizer.buffer as ArrayBuffer])
}

/** onnxruntime's memory cannot be moved to another thread; a copy can. */
const own = (values: Float32Array): Float32Array => new Float32Array(values)

function checkFinite(losses: Float32Array, vectors: readonly Float32Array[], first: number): void {
  const bad = losses.findIndex((value) => !Number.isFinite(value))
  if (bad < 0 && vectors.every(allFinite)) return
  const [what, step] = bad < 0 ? ['a parameter', first + losses.length] : [`the loss ${losses[bad]}`, first + bad + 1]
  throw new MurmurError(
    'training-diverged',
    `Training diverged at step ${step}: ${what} is not a finite number; lower the learning rate or check the data.`,
  )
}

async function evaluate({ params, split, samples, cancel }: EvaluateCall): Promise<Evaluation> {
  const set = data[split]
  if (set === undefined || set.samples === 0) {
    throw new MurmurError('data-missing', `There is no ${split} data to evaluate on.`)
  }
  const { batch, session } = evaluationSession(split)
  const run = await session
  const constant = { ...dataFeeds(set, input.shape), params: floats(params, size) }
  const chosen = strided(set.samples, samples)
  let lossSum = 0
  let right = 0
  for (let begin = 0; begin < chosen.length; begin += batch) {
    checkCancel(cancel)
    const part = chosen.subarray(begin, begin + batch)
    // The last batch is filled up with sample 0, whose results are not read.
    const index = new Int32Array(batch)
    index.set(part)
    const { losses, correct } = (await run.run({ ...constant, index: rows(index, batch) })) as Record<string, Tensor>
    for (let i = 0; i < part.length; i++) {
      lossSum += floatsOf(losses)[i]!
      right += (correct!.data as Uint8Array)[i]!
    }
  }
  return { samples: chosen.length, loss: lossSum / chosen.length, accuracy: right / chosen.length }
}

/** Compiles the training graph, so that what is wrong with a model or a task is said at once. */
async function prepare(_: undefined): Promise<void> {
  await trainingSession()
}

const handlers = { prepare, train, evaluate }
export type TrainWorkerHandlers = typeof handlers

// On Linux this is the thread's own priority: the thread that talks to other peers goes first where cores are few.
setPriority(TRAINING_PRIORITY)
serveWorker(handlers, async () => {
  for (const session of sessions) await session.release()
})
