// Training without a network: epochs over one's own data, told of as it goes, until the last step, a stop, or a loss that is not finite.
import { isMurmurError } from '../../protocol/errors.ts'
import type { DataStream } from '../data/stream.ts'
import type { Evaluation, Trainer } from '../ports.ts'

/** Milliseconds between two looks at how far it is. */
const TELL_MILLIS = 250

export interface AloneOptions {
  epochs: number
  stepsPerEpoch: number
  seed: number
  shuffle: boolean
  /** Where the data is larger than memory. */
  windows?: { stepsPerWindow: number; stream: DataStream } | undefined
  /** Evaluate after each epoch; otherwise only at the end. */
  everyEpoch: boolean
  signal: AbortSignal
  onSteps?(done: { first: number; losses: Float32Array }): void
  /** An evaluation, which may take long, begins. */
  onEvaluate?(): void
  onEpoch?(done: { epoch: number; loss: number; evaluation: Evaluation | undefined }): void
  /** Called with the newest parameters after each epoch and at the end, unless it was stopped before the first step. */
  save?(params: Float32Array): Promise<void>
}

export interface AloneResult {
  params: Float32Array
  steps: number
  /** Samples trained on, each counted as often as it was. */
  samples: number
  /** Mean training loss of the last epoch. */
  loss: number
  /** On the validation data; where there is none, on the training data. */
  evaluation: (Evaluation & { split: 'validation' | 'train' }) | undefined
  ending: 'finished' | 'stopped' | 'diverged'
  /** Whether `save` was called. */
  saved: boolean
  /** One sentence, where it diverged. */
  diverged?: string
}

/** Where training stood. */
interface Standing {
  params: Float32Array
  steps: number
}

/** @param params what to begin with. @throws worker-failed and what `save` throws */
export async function trainAlone(trainer: Trainer, params: Float32Array, options: AloneOptions): Promise<AloneResult> {
  const { epochs, stepsPerEpoch, seed, shuffle, signal, save } = options
  const split = trainer.validationSamples > 0 ? 'validation' : 'train'
  const total = epochs * stepsPerEpoch
  let now: Standing = { params, steps: 0 }
  let optimizer: Float32Array = new Float32Array()
  let samples = 0
  let saved: number | undefined
  let diverged: string | undefined
  let epochLosses = { sum: 0, count: 0 }
  let evaluation: AloneResult['evaluation']
  // Of the last two calls, and after the last whole epoch.
  let starts: Standing[] = []
  let epochEnd = now

  const evaluate = async () => {
    options.onEvaluate?.()
    try {
      evaluation = { split, ...(await trainer.evaluate({ params: now.params, split, signal })) }
    } catch (error) {
      if (!isMurmurError(error, 'cancelled')) throw error
      evaluation = undefined
    }
    return evaluation
  }
  const keep = async () => {
    if (now.steps !== saved) await save?.(now.params)
    saved = now.steps
  }

  while (now.steps < total && diverged === undefined && !signal.aborted) {
    const { steps } = now
    const inEpoch = steps % stepsPerEpoch
    if (inEpoch === 0) epochLosses = { sum: 0, count: 0 }
    const place = await placeOf(steps, options)
    // Not given the signal: what these few steps yield is kept.
    const result = await trainer.train({
      params: now.params,
      optimizer,
      steps: place.steps,
      millis: TELL_MILLIS,
      seed,
      stepsBefore: steps,
      order: { shuffle, epochs: true, ...place.order },
    })
    starts = [now, ...starts.slice(0, 1)]
    now = { params: result.params, steps: steps + result.steps }
    ;({ optimizer, diverged } = { diverged: undefined, ...result })
    samples += result.samples
    for (const loss of result.losses) epochLosses.sum += loss
    epochLosses.count += result.steps
    options.onSteps?.({ first: steps, losses: result.losses })
    if (now.steps > steps && now.steps % stepsPerEpoch === 0 && diverged === undefined) {
      await keep()
      epochEnd = now
      const evaluated = options.everyEpoch || now.steps === total ? await evaluate() : undefined
      options.onEpoch?.({ epoch: now.steps / stepsPerEpoch, loss: epochLosses.sum / epochLosses.count, evaluation: evaluated })
    }
  }
  const { steps } = now
  const isDone = steps === total && evaluation !== undefined
  const ending = diverged !== undefined ? 'diverged' : isDone ? 'finished' : 'stopped'
  if (ending === 'diverged') {
    // The step before may have left finite parameters whose loss is not: what is kept must be of use.
    await evaluate()
    for (const start of [...starts, epochEnd, { params, steps: 0 }]) {
      if (evaluation === undefined || Number.isFinite(evaluation.loss)) break
      now = start
      await evaluate()
    }
  }
  // A stop is answered at once.
  if (ending === 'stopped') evaluation = undefined
  if (ending === 'diverged' || (ending === 'stopped' && steps > 0)) await keep()
  const loss = epochLosses.count === 0 ? Number.NaN : epochLosses.sum / epochLosses.count
  return {
    ...{ params: now.params, steps, samples, loss, evaluation, ending },
    saved: save !== undefined && saved !== undefined,
    ...(diverged !== undefined && { diverged }),
  }
}

/** How many steps can be made from step `step` on, and where in the data they lie: what is not there yet is loaded. */
async function placeOf(
  step: number,
  { stepsPerEpoch, windows }: AloneOptions,
): Promise<{ steps: number; order: { first: number; samples?: number } }> {
  const inEpoch = step % stepsPerEpoch
  if (windows === undefined) return { steps: stepsPerEpoch - inEpoch, order: { first: step } }
  const { stepsPerWindow, stream } = windows
  const inWindow = inEpoch % stepsPerWindow
  const stepsOfThis = Math.min(stepsPerWindow, stepsPerEpoch - (inEpoch - inWindow))
  const window = Math.floor(step / stepsPerEpoch) * stream.windows + (inEpoch - inWindow) / stepsPerWindow
  const samples = await stream.load(window)
  // A window's own order is that of an epoch of so many steps.
  return { steps: stepsOfThis - inWindow, order: { first: window * stepsOfThis + inWindow, samples } }
}
