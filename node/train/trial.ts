// The process that limited.ts starts: compiles a model for training, runs steps on made-up samples, and tells what it saw.
import { Tensor } from 'onnxruntime-node'
import {
  type CompiledTraining,
  compileEvaluation,
  compileTraining,
  type InputOptions,
  isClasses,
  type LossOptions,
  loadModel,
  type Model,
  type OptimizerOptions,
  onlyBatch,
  type TargetOptions,
  trainingNotes,
} from '../../models/index.ts'
import { layoutSize, sizeOf } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'
import { describeError, type Failure } from '../worker-rpc.ts'
import { compareGradients, scattered, type TensorCheck, TOLERANCE } from './gradient-check.ts'
import { createSession, dataFeeds, floats, floatsOf, rows } from './session.ts'

interface Subject {
  /** Hollow. */
  graph: Uint8Array
  parameters: number
  loss: LossOptions
  optimizer: OptimizerOptions
  input: InputOptions
  target: TargetOptions
  batchSize: number
  threads: number
  provider: string
}

/**
 * step: one step is made, and one run of evaluation for each size of batch that there will be: a model may be another for each.
 * check: gradients are compared and steps timed, with these parameters.
 */
export type Job = Subject & ({ kind: 'step'; evaluationBatches: number[] } | { kind: 'check'; params: Float32Array })

interface Times {
  /** Compiling, and creating the session. */
  compileMillis: number
  stepMillis: number
}

export interface StepResult extends Times {
  /** See trainingNotes. */
  notes: string[]
}

export interface CheckResult extends Times {
  loss: number
  tensors: TensorCheck[]
}

export type JobResult<J extends Job> = J extends { kind: 'check' } ? CheckResult : StepResult
export type Outcome = { value: StepResult | CheckResult } | { error: Failure }

/** Steps that are timed: as many as fit into the time, within these. */
const TIMED_STEPS = 20
const TIMED_MILLIS = 1000
/** Places at which a gradient that seems wrong is looked at: a kink is near one of them, a wrong gradient is wrong at all. */
const PLACES = 4

async function answer(job: Job): Promise<StepResult | CheckResult> {
  const { loss, input, target, batchSize } = job
  const begin = performance.now()
  const model = loadModel(job.graph)
  const compiled = compileTraining(model, { loss, optimizer: job.optimizer, input, target, batchSize })
  const session = await createSession(compiled.bytes, job)
  const compileMillis = performance.now() - begin
  const size = layoutSize(model.layout)
  const params = job.kind === 'check' ? job.params : new Float32Array(size)
  const feeds = madeUp(job, compiled, size)
  const run = async (steps: number, params: Float32Array, rate: number) => {
    const index = Int32Array.from({ length: steps * batchSize }, (_, i) => i % batchSize)
    return session.run({
      ...feeds,
      params: floats(params, size),
      index: rows(index, steps, batchSize),
      lr: floats(new Float32Array(steps).fill(rate), steps),
      ...(compiled.random && { seeds: new Tensor('int64', new BigInt64Array(steps), [steps]) }),
    })
  }
  const timed = async (steps: number) => {
    const begin = performance.now()
    await run(steps, params, 0)
    return (performance.now() - begin) / steps
  }
  const first = await timed(1)
  if (job.kind === 'step') {
    const only = onlyBatch(model, input.shape)
    const batches = only === undefined ? new Set(job.evaluationBatches) : [only]
    for (const batch of batches) await evaluateOnce(job, model, feeds, batch)
    return { compileMillis, stepMillis: first, notes: trainingNotes(job.graph, job) }
  }

  const stepMillis = await timed(Math.max(1, Math.min(TIMED_STEPS, Math.floor(TIMED_MILLIS / first))))
  const lossAt = async (at: Float32Array) => floatsOf((await run(1, at, 0)).losses)[0]!
  // Plain gradient descent moves the parameters by rate times the gradient; a large rate keeps the digits of a small gradient.
  const rate = 2 ** 12
  const checks = new Map<string, TensorCheck>()
  for (let place = 0; place < PLACES; place++) {
    const doubtful = model.layout.filter(({ name }) => place === 0 || (checks.get(name)?.error ?? 0) > TOLERANCE)
    if (doubtful.length === 0) break
    const at = scattered(model.layout, params, place)
    const moved = floatsOf((await run(1, at, rate)).new_params)
    const gradient = Float64Array.from(at, (value, i) => (value - moved[i]!) / rate)
    for (const check of await compareGradients(doubtful, at, gradient, lossAt)) checks.set(check.name, check)
  }
  return { compileMillis, stepMillis, loss: await lossAt(params), tensors: [...checks.values()] }
}

async function evaluateOnce(job: Job, model: Model, { x, y }: Record<'x' | 'y', Tensor>, batchSize: number): Promise<void> {
  const session = await createSession(compileEvaluation(model, { ...job, batchSize }), job)
  const index = Int32Array.from({ length: batchSize }, (_, i) => i % job.batchSize)
  const size = layoutSize(model.layout)
  await session.run({ x, y, params: floats(new Float32Array(size), size), index: rows(index, batchSize) })
  await session.release()
}

/** Feeds with samples that any model can take: small numbers around zero, of which whole parts are 0, and ids 0 and 1. */
function madeUp({ input, target, batchSize }: Job, { optimizerSize }: CompiledTraining, size: number) {
  const prng = createPrng('trial')
  const count = batchSize * sizeOf(input.shape)
  const x =
    input.dtype === 'float32'
      ? Float32Array.from({ length: count }, () => 2 * prng.next() - 1)
      : input.dtype === 'uint8'
        ? Uint8Array.from({ length: count }, () => prng.int(256))
        : Int32Array.from({ length: count }, () => prng.int(2))
  const labels = batchSize * sizeOf(target.shape)
  const y = isClasses(target)
    ? Int32Array.from({ length: labels }, () => prng.int(target.size))
    : Float32Array.from({ length: labels }, () => (target.kind === 'binary' ? prng.int(2) : prng.normal()))
  return {
    ...dataFeeds({ x, y, samples: batchSize }, input.shape, target),
    optimizer: floats(new Float32Array(optimizerSize), optimizerSize),
    halt: floats(new Float32Array(1)),
    anchor: floats(new Float32Array(size), size),
  }
}

// Nobody is left to tell.
process.once('disconnect', () => process.exit())
process.once('message', async (job: Job) => {
  let outcome: Outcome
  try {
    outcome = { value: await answer(job) }
  } catch (error) {
    outcome = { error: describeError(error) }
  }
  process.send!(outcome)
})
