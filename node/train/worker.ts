// The thread that trains: compiles the model's graphs, keeps their sessions and the data, and answers the trainer's calls.
import { setPriority } from 'node:os'
import { workerData } from 'node:worker_threads'
import { type InferenceSession, Tensor } from 'onnxruntime-node'
import { compileEvaluation, compileTraining, hasScores, learningRateAt, loadModel, onlyBatch } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { layoutSize } from '../../protocol/layout.ts'
import type { Encoded, Evaluation, TrainResult } from '../ports.ts'
import { serveWorker, transferring } from '../worker-rpc.ts'
import { type Batches, type Block, createBatches, strided } from './batches.ts'
import { evaluationBatch, type Split } from './data-set.ts'
import { encodePayload, type PayloadRules } from './encoding.ts'
import { createTally, summarize } from './metrics.ts'
import { createPace } from './pace.ts'
import { createSession, dataFeeds, floats, floatsOf, rows } from './session.ts'
import type { BatchOrder, WorkerOptions } from './trainer.ts'

/** Niceness of this thread. */
const TRAINING_PRIORITY = 10

/** A number that the trainer makes 1 to stop a call: training graphs look at it before each step. */
export type Halt = Float32Array

export interface TrainCall {
  params: Float32Array
  optimizer: Float32Array
  steps: number
  millis: number
  seed: number
  stepsBefore: number
  order: BatchOrder
  halt: Halt
}

export interface EvaluateCall {
  params: Float32Array
  split: Split
  samples: number | undefined
  rows: Int32Array | undefined
  halt: Halt
}

interface TrainingSession {
  session: InferenceSession
  optimizerSize: number
  random: boolean
}

/** What a run of steps begins with and ends with. */
interface State {
  params: Float32Array
  optimizer: Float32Array
}

const { graph, loss, optimizer, batchSize, input, target, data, threads, provider } = workerData as WorkerOptions
const model = loadModel(graph)
const size = layoutSize(model.layout)
/** The only size of batch that the model takes. */
const only = onlyBatch(model, input.shape)
const pace = createPace()
const sessions: InferenceSession[] = []
const trainings = new Map<number, Promise<TrainingSession>>()
const evaluations = new Map<number, Promise<InferenceSession>>()

async function open(bytes: Uint8Array): Promise<InferenceSession> {
  const session = await createSession(bytes, { threads, provider })
  sessions.push(session)
  return session
}

/** One session for each size of batch: the usual one, and where epochs end with a smaller one, that too. */
function trainingSession(batch: number): Promise<TrainingSession> {
  const known = trainings.get(batch)
  if (known !== undefined) return known
  const { bytes, optimizerSize, random } = compileTraining(model, { loss, optimizer, input, target, batchSize: batch })
  const made = open(bytes).then((session) => ({ session, optimizerSize, random }))
  trainings.set(batch, made)
  return made
}

function evaluationSession(batch: number): Promise<InferenceSession> {
  const known = evaluations.get(batch)
  if (known !== undefined) return known
  const made = open(compileEvaluation(model, { loss, input, target, batchSize: batch }))
  evaluations.set(batch, made)
  return made
}

const cancelled = () => new MurmurError('cancelled', 'The training or evaluation was stopped on request.')

const checkHalt = (halt: Halt): void => {
  if (halt[0] !== 0) throw cancelled()
}

function allFinite(values: Float32Array): boolean {
  // Neither NaN nor an infinity minus itself is zero; a plain loop is ten times as fast as every(Number.isFinite).
  for (const value of values) if (value - value !== 0) return false
  return true
}

let order: { key: string; batches: Batches } | undefined

/** The batches of a call; a caller that goes on in the same order finds its epoch as it left it. */
function batchesOf(seed: number, { shuffle, epochs, rows, samples = rows?.length ?? data.train.samples }: BatchOrder): Batches {
  const key = `${seed} ${shuffle} ${epochs} ${samples}`
  if (order?.key !== key)
    order = { key, batches: createBatches({ samples, batchSize, seed, shuffle, epochs, dropRest: only !== undefined }) }
  return order.batches
}

const inRows = (block: Block, rows: Int32Array | undefined): Block =>
  rows === undefined ? block : { ...block, index: block.index.map((position) => rows[position]!) }

/** Runs blocks of steps until `steps` are done or `millis` are over. How the steps fall into blocks does not change the numbers. */
async function train(call: TrainCall): Promise<TrainResult> {
  const { steps, millis, halt } = call
  const begin = performance.now()
  const batches = batchesOf(call.seed, call.order)
  const { optimizerSize } = await trainingSession(batchSize)
  const anchor = floats(call.params, size)
  if (call.optimizer.length !== 0 && call.optimizer.length !== optimizerSize) {
    throw new MurmurError('bad-argument', `optimizer has ${call.optimizer.length} values; the task's needs 0 or ${optimizerSize}.`)
  }
  let state: State = { params: call.params, optimizer: call.optimizer.length === 0 ? new Float32Array(optimizerSize) : call.optimizer }
  const losses: number[] = []
  let samples = 0
  let diverged: string | undefined
  while (losses.length < steps && diverged === undefined) {
    checkHalt(halt)
    const left = millis - (performance.now() - begin)
    if (losses.length > 0 && left <= 0) break
    const done = losses.length
    const block = inRows(batches.block(call.order.first + done, pace.next(steps - done, Math.max(0, left))), call.order.rows)
    const run = (block: Block) => runBlock(block, state, { ...call, anchor, first: call.stepsBefore + done })
    const runBegin = performance.now()
    const result = await run(block)
    pace.ran(block.steps, performance.now() - runBegin)
    const bad = firstBad(result)
    if (bad === undefined) {
      if (result.losses.length < block.steps) throw cancelled()
      state = result
    } else {
      diverged = `Training diverged at step ${call.stepsBefore + done + bad.step}: ${bad.what} is not a finite number; lower the learning rate or check the data.`
      // The same steps but the last give the same bits: what was good until then is kept at no cost to all other runs.
      const good = bad.step - 1
      if (good > 0) {
        const again = await run({ ...block, steps: good, index: block.index.slice(0, good * block.batchSize) })
        if (allFinite(again.params)) state = again
      }
      result.losses = result.losses.slice(0, good)
    }
    losses.push(...result.losses)
    samples += result.losses.length * block.batchSize
  }
  const value: TrainResult = {
    // onnxruntime's memory cannot be moved to another thread; a copy can.
    params: new Float32Array(state.params),
    optimizer: new Float32Array(state.optimizer),
    steps: losses.length,
    samples,
    loss: losses.reduce((sum, each) => sum + each, 0) / losses.length,
    losses: Float32Array.from(losses),
    millis: performance.now() - begin,
    ...(diverged !== undefined && { diverged }),
  }
  return transferring(value, [value.params.buffer as ArrayBuffer, value.optimizer.buffer as ArrayBuffer])
}

interface BlockContext extends Pick<TrainCall, 'seed' | 'halt'> {
  anchor: Tensor
  /** The block's first step, over the whole life of a peer. */
  first: number
}

async function runBlock(
  { steps, batchSize, index }: Block,
  state: State,
  { seed, halt, anchor, first }: BlockContext,
): Promise<State & { losses: Float32Array }> {
  const { session, optimizerSize, random } = await trainingSession(batchSize)
  const count = { length: steps }
  const rates = Float32Array.from(count, (_, i) => learningRateAt(optimizer, first + i))
  const result = await session.run({
    ...dataFeeds(data.train, input.shape, target),
    params: floats(state.params, size),
    optimizer: floats(state.optimizer, optimizerSize),
    index: rows(index, steps, batchSize),
    lr: floats(rates, steps),
    halt: floats(halt),
    ...(random && {
      seeds: new Tensor(
        'int64',
        BigInt64Array.from(count, (_, i) => stepSeed(seed, first + i)),
        [steps],
      ),
    }),
    ...(optimizer.proximal > 0 && { anchor }),
  })
  return { params: floatsOf(result.new_params), optimizer: floatsOf(result.new_optimizer), losses: floatsOf(result.losses) }
}

const stepSeed = (seed: number, step: number): bigint => (BigInt(Math.trunc(seed)) << 32n) + BigInt(step)

/** The step, counted from 1, whose loss or whose result is not finite. */
function firstBad({ losses, params, optimizer }: State & { losses: Float32Array }): { step: number; what: string } | undefined {
  const at = losses.findIndex((value) => !Number.isFinite(value))
  if (at >= 0) return { step: at + 1, what: `the loss ${losses[at]}` }
  return allFinite(params) && allFinite(optimizer) ? undefined : { step: losses.length, what: 'a parameter' }
}

async function evaluate({ params, split, samples, rows: among, halt }: EvaluateCall): Promise<Evaluation> {
  const set = data[split]
  if (set === undefined || set.samples === 0) {
    throw new MurmurError('data-missing', `There is no ${split} data to evaluate on.`)
  }
  const batch = evaluationBatch(set, only)
  const session = await evaluationSession(batch)
  const constant = { ...dataFeeds(set, input.shape, target), params: floats(params, size) }
  const places = strided(among?.length ?? set.samples, samples)
  const chosen = among === undefined ? places : places.map((place) => among[place]!)
  const tally = createTally()
  for (let begin = 0; begin < chosen.length; begin += batch) {
    checkHalt(halt)
    const part = chosen.subarray(begin, begin + batch)
    // The last batch is filled up with sample 0, whose results are not read.
    const index = new Int32Array(batch)
    index.set(part)
    const result = await session.run({ ...constant, index: rows(index, batch) })
    for (const name of ['losses', 'weights', 'correct', 'errors', 'counted'] as const) {
      const values = result[name] === undefined ? [] : floatsOf(result[name]).subarray(0, part.length)
      for (const value of values) tally[name] += value
    }
    if (hasScores(target)) {
      const scores = floatsOf(result.scores)
      part.forEach((row, i) => void tally.scores.push({ score: scores[i]!, positive: set.y[row]! > 0.5 }))
    }
    tally.samples += part.length
  }
  return summarize(tally, target)
}

/** Compiles the training graph, so that what is wrong with a model or a task is said at once. */
async function prepare(_: undefined): Promise<void> {
  await trainingSession(batchSize)
}

function encode({ values, ...rules }: { values: Float32Array } & PayloadRules): Encoded {
  const encoded = encodePayload(values, rules)
  const { payload, decoded } = encoded
  // What others decode may be a view of the payload.
  const buffers = new Set([payload.buffer, ...('values' in decoded ? [decoded.values.buffer] : [])])
  return transferring(encoded, [...buffers] as ArrayBuffer[])
}

const handlers = { prepare, train, evaluate, encode }
export type TrainWorkerHandlers = typeof handlers

// On Linux this is the thread's own priority: the thread that talks to other peers goes first where cores are few.
setPriority(TRAINING_PRIORITY)
serveWorker(handlers, async () => {
  for (const session of sessions) await session.release()
})
