// Optimizers over the flat parameter vector, as graph nodes and as numbers that change by step.
import type { Manifest } from '../protocol/manifest.ts'
import type { Builder } from './builder.ts'
import { doubleTensor, TYPE } from './graph.ts'

export type OptimizerOptions = Manifest['optimizer']

/** Keeps the division finite for a gradient of zero; PyTorch's clip_grad_norm_ uses the same. */
const NORM_EPSILON = 1e-6

/**
 * Floats of each vector of optimizer state for `size` trained parameters: SGD's velocity; Adam's moments and its count of steps.
 * Their concatenation is what `optimizer` feeds carry.
 */
export function optimizerState({ kind, momentum }: OptimizerOptions, size: number): number[] {
  if (kind === 'sgd') return momentum === 0 ? [] : [size]
  return [size, size, 1]
}

export interface UpdateInputs {
  params: string
  /** Vectors of optimizer state, see optimizerState. */
  state: readonly string[]
  /** dL/d params, flat. */
  grad: string
  /** A scalar. */
  learningRate: string
  /** The parameters that FedProx holds on to; read only where `proximal` is set. */
  anchor: string
}

export interface Update {
  params: string
  state: string[]
}

/**
 * One step. Before the optimizer's own rule FedProx (Li et al. 2020) adds mu (w - anchor) to the gradient g, and g is scaled down
 * to `clipNorm` where it is longer.
 */
export function attachUpdate(b: Builder, options: OptimizerOptions, inputs: UpdateInputs): Update {
  const { clipNorm, proximal, kind } = options
  let { grad } = inputs
  if (proximal > 0) grad = plus(b, grad, proximal, b.op('Sub', [inputs.params, inputs.anchor]))
  if (clipNorm > 0) {
    const norm = b.op('Add', [b.op('ReduceL2', [grad], { keepdims: { int: 0 } }), b.scalar(NORM_EPSILON)])
    grad = b.op('Mul', [grad, b.op('Min', [b.op('Div', [b.scalar(clipNorm), norm]), b.scalar(1)])])
  }
  return (kind === 'sgd' ? sgd : adam)(b, options, { ...inputs, grad })
}

const plus = (b: Builder, value: string, factor: number, other: string): string =>
  b.op('Add', [value, b.op('Mul', [other, b.scalar(factor)])])

/** torch.optim.SGD: g += decay w; v = momentum v + g; w -= lr v, or with Nesterov lr (g + momentum v). */
function sgd(b: Builder, { momentum, nesterov, weightDecay }: OptimizerOptions, inputs: UpdateInputs): Update {
  const { params, learningRate } = inputs
  const grad = weightDecay > 0 ? plus(b, inputs.grad, weightDecay, params) : inputs.grad
  const velocity = momentum > 0 ? plus(b, grad, momentum, inputs.state[0]!) : grad
  const direction = momentum > 0 && nesterov ? plus(b, grad, momentum, velocity) : velocity
  return { params: b.op('Sub', [params, b.op('Mul', [direction, learningRate])]), state: momentum > 0 ? [velocity] : [] }
}

/**
 * Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019) as torch.optim has them: m = b1 m + (1 - b1) g,
 * v = b2 v + (1 - b2) g^2, w -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon). Weight decay is part of g, with AdamW w -= lr decay w.
 */
function adam(b: Builder, { kind, beta1, beta2, epsilon, weightDecay }: OptimizerOptions, inputs: UpdateInputs): Update {
  const { learningRate } = inputs
  const [m = '', v = '', count = ''] = inputs.state
  const { params } = inputs
  const grad = kind === 'adam' && weightDecay > 0 ? plus(b, inputs.grad, weightDecay, params) : inputs.grad
  const average = (old: string, beta: number, now: string) => plus(b, b.op('Mul', [old, b.scalar(beta)]), 1 - beta, now)
  const nextM = average(m, beta1, grad)
  const nextV = average(v, beta2, b.op('Mul', [grad, grad]))
  const nextCount = b.op('Add', [count, b.scalar(1)])
  // 1 - beta^t in float64: float32 would keep four digits of it in the first steps.
  const t = b.op('Cast', [nextCount], { to: { int: TYPE.float64 } })
  const double = (value: number) => b.tensor(doubleTensor([value], []))
  const correction = (beta: number) => b.op('Sub', [double(1), b.op('Pow', [double(beta), t])])
  const single = (value: string) => b.op('Cast', [value], { to: { int: TYPE.float32 } })
  const rate = b.op('Div', [learningRate, single(correction(beta1))])
  const root = single(b.op('Sqrt', [correction(beta2)]))
  const deviation = b.op('Add', [b.op('Div', [b.op('Sqrt', [nextV]), root]), b.scalar(epsilon)])
  const step = b.op('Mul', [b.op('Div', [nextM, deviation]), rate])
  const shrink = () => b.op('Mul', [params, b.op('Sub', [b.scalar(1), b.op('Mul', [learningRate, b.scalar(weightDecay)])])])
  const from = kind === 'adamw' && weightDecay > 0 ? shrink() : params
  return { params: b.op('Sub', [from, step]), state: [nextM, nextV, nextCount] }
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
