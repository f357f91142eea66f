// Training without a network: epochs over one's own data, told of as it goes, until the last step, a stop, or a loss that is not finite.
import type { Evaluation, Trainer } from '../ports.ts'

/** Milliseconds between two looks at how far it is. */
const TELL_MILLIS = 250

export interface AloneOptions {
  epochs: number
  stepsPerEpoch: number
  seed: number
  shuffle: boolean
  /** Evaluate after each epoch; otherwise only at the end. */
  everyEpoch: boolean
  signal: AbortSignal
  onSteps?(done: { first: number; losses: Float32Array }): void
  onEpoch?(done: { epoch: number; loss: number; evaluation: Evaluation | undefined }): void
  /** Called with the newest parameters after each epoch and at the end. */
  save?(params: Float32Array): Promise<void>
}

export interface AloneResult {
  params: Float32Array
  steps: number
  /** Mean training loss of the last epoch. */
  loss: number
  /** On the validation data; where there is none, on the training data. */
  evaluation: (Evaluation & { split: 'validation' | 'train' }) | undefined
  ending: 'finished' | 'stopped' | 'diverged'
  /** One sentence, where it diverged. */
  diverged?: string
}

/** @param params what to begin with. @throws worker-failed and what `save` throws */
export async function trainAlone(trainer: Trainer, params: Float32Array, options: AloneOptions): Promise<AloneResult> {
  const { epochs, stepsPerEpoch, seed, shuffle, signal, save } = options
  const split = trainer.validationSamples > 0 ? 'validation' : 'train'
  const total = epochs * stepsPerEpoch
  let optimizer: Float32Array = new Float32Array()
  let steps = 0
  let diverged: string | undefined
  let epochLosses = { sum: 0, count: 0 }
  let evaluation: AloneResult['evaluation']
  const evaluate = async () => {
    evaluation = { split, ...(await trainer.evaluate({ params, split })) }
    return evaluation
  }

  while (steps < total && diverged === undefined && !signal.aborted) {
    const inEpoch = steps % stepsPerEpoch
    if (inEpoch === 0) epochLosses = { sum: 0, count: 0 }
    const order = { shuffle, epochs: true, first: steps }
    const request = { params, optimizer, steps: stepsPerEpoch - inEpoch, millis: TELL_MILLIS, seed, stepsBefore: steps, order }
    // Not given the signal: what these few steps yield is kept.
    const result = await trainer.train(request)
    const first = steps
    ;({ params, optimizer, diverged } = { diverged: undefined, ...result })
    steps += result.steps
    for (const loss of result.losses) epochLosses.sum += loss
    epochLosses.count += result.steps
    options.onSteps?.({ first, losses: result.losses })
    if (steps > first && steps % stepsPerEpoch === 0 && diverged === undefined) {
      await save?.(params)
      const isLast = steps === total
      const evaluated = options.everyEpoch || isLast ? await evaluate() : undefined
      options.onEpoch?.({ epoch: steps / stepsPerEpoch, loss: epochLosses.sum / epochLosses.count, evaluation: evaluated })
    }
  }
  const ending = diverged !== undefined ? 'diverged' : steps < total ? 'stopped' : 'finished'
  if (ending !== 'finished') {
    await save?.(params)
    // A stop is answered at once; what diverged is worth a look.
    evaluation = undefined
    if (ending === 'diverged' && steps > 0) await evaluate()
  }
  const loss = epochLosses.count === 0 ? Number.NaN : epochLosses.sum / epochLosses.count
  return { params, steps, loss, evaluation, ending, ...(diverged !== undefined && { diverged }) }
}
