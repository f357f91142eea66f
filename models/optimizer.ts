// Optimizers over the flat parameter vector, as graph nodes and as numbers that change by step.
import { MurmurError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Builder } from './builder.ts'

export type OptimizerOptions = Manifest['optimizer']

/** Keeps the division finite for a gradient of zero; PyTorch's clip_grad_norm_ uses the same. */
const NORM_EPSILON = 1e-6

/** Floats of optimizer state for `size` parameters. @throws task-unsupported */
export function optimizerSize({ kind, momentum }: OptimizerOptions, size: number): number {
  if (kind !== 'sgd') {
    throw new MurmurError('task-unsupported', `The task's optimizer is "${kind}", which this version of Murmuration does not have.`)
  }
  return momentum === 0 ? 0 : size
}

export interface UpdateInputs {
  params: string
  /** Optimizer state, of optimizerSize floats. */
  state: string
  /** dL/d params, flat. */
  grad: string
  learningRate: string
  /** The parameters that FedProx holds on to; read only where `proximal` is set. */
  anchor: string
}

/**
 * One step of stochastic gradient descent as PyTorch's torch.optim.SGD makes it:
 * v = momentum v + g; w = w - lr v, or w - lr (g + momentum v) with Nesterov; weight decay is added to g.
 * Before it, FedProx (Li et al. 2020) adds mu (w - anchor) to g, and g is scaled down to `clipNorm` where it is longer.
 */
export function attachUpdate(b: Builder, options: OptimizerOptions, inputs: UpdateInputs): { params: string; state: string } {
  const { momentum, nesterov, weightDecay, clipNorm, proximal } = options
  const { params, learningRate } = inputs
  const plus = (value: string, factor: number, other: string) => b.op('Add', [value, b.op('Mul', [other, b.scalar(factor)])])
  let grad = inputs.grad
  if (proximal > 0) grad = plus(grad, proximal, b.op('Sub', [params, inputs.anchor]))
  if (clipNorm > 0) {
    const norm = b.op('Add', [b.op('ReduceL2', [grad], { keepdims: { int: 0 } }), b.scalar(NORM_EPSILON)])
    grad = b.op('Mul', [grad, b.op('Min', [b.op('Div', [b.scalar(clipNorm), norm]), b.scalar(1)])])
  }
  if (weightDecay > 0) grad = plus(grad, weightDecay, params)
  const state = momentum > 0 ? plus(grad, momentum, inputs.state) : inputs.state
  const direction = momentum === 0 ? grad : nesterov ? plus(grad, momentum, state) : state
  return { params: b.op('Sub', [params, b.op('Mul', [direction, learningRate])]), state }
}

/** The learning rate at `step`, counted from 0 over the whole life of a peer. */
export function learningRateAt(options: OptimizerOptions, step: number): number {
  const { learningRate, schedule, scheduleSteps, scheduleFactor, warmupSteps } = options
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps
  if (schedule === 'constant' || scheduleSteps === 0) return learningRate
  const since = step - warmupSteps
  if (schedule === 'step') return learningRate * scheduleFactor ** Math.floor(since / scheduleSteps)
  // Half a cosine (Loshchilov and Hutter 2017) from the full rate down to scheduleFactor of it.
  const done = Math.min(1, since / scheduleSteps)
  return learningRate * (scheduleFactor + ((1 - scheduleFactor) * (1 + Math.cos(Math.PI * done))) / 2)
}
