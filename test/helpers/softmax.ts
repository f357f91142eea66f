// Softmax regression in plain code on made-up data: classes are clouds of points around corners, so that a model that has never
// seen a class knows nothing of it. Small enough for dozens of peers in virtual time.
import type { Clock, EvaluateRequest, Trainer, TrainRequest } from '../../node/ports.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { createPrng } from '../../protocol/prng.ts'

export const CLASSES = 4
const FEATURES = 6
/** Weights and bias of each class. */
export const SOFTMAX_SIZE = CLASSES * (FEATURES + 1)
const LEARNING_RATE = 0.2
const BATCH = 16

interface Sample {
  x: number[]
  label: number
}

export function cloud(classes: readonly number[], count: number, seed: string): Sample[] {
  const prng = createPrng(seed)
  return Array.from({ length: count }, (_, i) => {
    const label = classes[i % classes.length]!
    return { label, x: Array.from({ length: FEATURES }, (_, c) => (c % CLASSES === label ? 1 : 0) + 0.3 * prng.normal()) }
  })
}

function scores(params: Float32Array, x: readonly number[]): number[] {
  return Array.from({ length: CLASSES }, (_, k) => {
    const at = k * (FEATURES + 1)
    return x.reduce((sum, value, c) => sum + value * params[at + c]!, params[at + FEATURES]!)
  })
}

function probabilities(params: Float32Array, x: readonly number[]): number[] {
  const all = scores(params, x)
  const most = Math.max(...all)
  const weights = all.map((score) => Math.exp(score - most))
  const sum = weights.reduce((a, b) => a + b)
  return weights.map((weight) => weight / sum)
}

export function evaluate(params: Float32Array, samples: readonly Sample[]): { samples: number; loss: number; accuracy: number } {
  let loss = 0
  let right = 0
  for (const { x, label } of samples) {
    const p = probabilities(params, x)
    loss -= Math.log(Math.max(1e-12, p[label]!))
    if (p.every((other) => other <= p[label]!)) right++
  }
  return { samples: samples.length, loss: loss / samples.length, accuracy: right / samples.length }
}

/** A peer that has only `classes`, and needs `millis` of the clock's time for a round's work. */
export function softmaxTrainer(classes: readonly number[], seed: string, clock: Clock, millis: number): Trainer {
  const train = cloud(classes, 200, `${seed} train`)
  const validation = cloud(classes, 100, `${seed} validation`)
  return {
    size: SOFTMAX_SIZE,
    trainSamples: train.length,
    validationSamples: validation.length,
    async train({ params, optimizer, steps, seed, signal }: TrainRequest) {
      await new Promise<void>((done) => void clock.after(millis, done))
      if (signal?.aborted) throw new MurmurError('cancelled', 'The training was stopped.')
      const next = params.slice()
      const prng = createPrng(seed)
      for (let step = 0; step < steps; step++) {
        const batch = Array.from({ length: BATCH }, () => train[prng.int(train.length)]!)
        for (const { x, label } of batch) {
          for (const [k, p] of probabilities(next, x).entries()) {
            const at = k * (FEATURES + 1)
            const slope = (LEARNING_RATE / BATCH) * (p - (k === label ? 1 : 0))
            for (const [c, value] of x.entries()) next[at + c]! -= slope * value
            next[at + FEATURES]! -= slope
          }
        }
      }
      const { loss } = evaluate(next, train)
      return { params: next, optimizer, steps, samples: steps * BATCH, loss, losses: new Float32Array(steps).fill(loss), millis }
    },
    async evaluate({ params }: EvaluateRequest) {
      return evaluate(params, validation)
    },
    async stop() {},
  }
}
