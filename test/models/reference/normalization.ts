// The reference's normalisations: by batch, layer, instance, group and neighbours, and softmax.
import { at, type Family, float, fromFront, int, ints, make, map, mean, reduce, reshaped, sum, type Value, vector, zip } from './values.ts'

/** (x - mean) / sqrt(variance + epsilon) over `axes`, and the statistics with those axes kept as 1. */
function standardize(x: Value, axes: readonly number[], epsilon: number): { y: Value; mean: Value; variance: Value; inverse: Value } {
  const means = reduce(x, axes, true, mean)
  const centered = zip(x, means, (a, b) => a - b)
  const variance = reduce(
    map(centered, (value) => value * value),
    axes,
    true,
    mean,
  )
  const inverse = map(variance, (value) => 1 / Math.sqrt(value + epsilon))
  return { y: zip(centered, inverse, (a, b) => a * b), mean: means, variance, inverse }
}

/** A value for each channel, shaped to broadcast along axis 1 of `rank` axes. */
const byChannel = (value: Value, rank: number): Value => reshaped(value, [value.data.length, ...Array.from({ length: rank - 2 }, () => 1)])

const affine = (x: Value, scale: Value, bias: Value | undefined): Value => {
  const scaled = zip(x, scale, (a, b) => a * b)
  return bias === undefined ? scaled : zip(scaled, bias, (a, b) => a + b)
}

const multiply = (a: Value, b: Value) => zip(a, b, (x, y) => x * y)

export function logSoftmax(x: Value, axis: number): Value {
  const axes = [fromFront(axis, x.dims.length)]
  const shifted = zip(
    x,
    reduce(x, axes, true, (values) => Math.max(...values)),
    (a, b) => a - b,
  )
  const logs = reduce(shifted, axes, true, (values) => Math.log(sum(values.map(Math.exp))))
  return zip(shifted, logs, (a, b) => a - b)
}

export const normalization: Family = {
  BatchNormalization([x, scale, bias, runningMean, runningVariance], node) {
    const rank = x!.dims.length
    const epsilon = float(node, 'epsilon', 1e-5)
    const channels = (value: Value) => byChannel(value, rank)
    // Before operator set 14, more than one output meant training.
    if (int(node, 'training_mode', Number(node.outputs.length > 1)) === 0) {
      const centered = zip(x!, channels(runningMean!), (a, b) => a - b)
      const inverse = map(channels(runningVariance!), (value) => 1 / Math.sqrt(value + epsilon))
      return affine(multiply(centered, inverse), channels(scale!), channels(bias!))
    }
    const {
      y,
      mean: means,
      variance,
    } = standardize(
      x!,
      [...x!.dims.keys()].filter((axis) => axis !== 1),
      epsilon,
    )
    const momentum = float(node, 'momentum', 0.9)
    const next = (running: Value, batch: Value) =>
      zip(running, reshaped(batch, running.dims), (old, current) => momentum * old + (1 - momentum) * current)
    return [affine(y, channels(scale!), channels(bias!)), next(runningMean!, means), next(runningVariance!, variance)]
  },
  LayerNormalization([x, scale, bias], node) {
    const axes = [...x!.dims.keys()].slice(fromFront(int(node, 'axis', -1), x!.dims.length))
    const { y, mean: means, inverse } = standardize(x!, axes, float(node, 'epsilon', 1e-5))
    return [affine(y, scale!, bias), means, inverse]
  },
  InstanceNormalization([x, scale, bias], node) {
    const { y } = standardize(x!, [...x!.dims.keys()].slice(2), float(node, 'epsilon', 1e-5))
    return affine(y, byChannel(scale!, x!.dims.length), byChannel(bias!, x!.dims.length))
  },
  GroupNormalization([x, scale, bias], node) {
    const groups = int(node, 'num_groups', 1)
    const [batch, channels] = x!.dims as [number, number]
    const grouped = reshaped(x!, [batch, groups, x!.data.length / batch / groups])
    const y = reshaped(standardize(grouped, [2], float(node, 'epsilon', 1e-5)).y, x!.dims)
    // One number a group before operator set 21, one a channel since.
    const spread = (value: Value) =>
      byChannel(
        vector(
          Array.from({ length: channels }, (_, c) => value.data[Math.floor((c * value.data.length) / channels)]!),
          'float',
        ),
        x!.dims.length,
      )
    return affine(y, spread(scale!), spread(bias!))
  },
  RMSNormalization([x, scale], node) {
    const axes = [...x!.dims.keys()].slice(fromFront(int(node, 'axis', -1), x!.dims.length))
    const epsilon = float(node, 'epsilon', 1e-5)
    const inverse = reduce(x!, axes, true, (values) => 1 / Math.sqrt(mean(values.map((value) => value * value)) + epsilon))
    return multiply(multiply(x!, inverse), scale!)
  },
  LpNormalization([x], node) {
    const p = int(node, 'p', 2)
    const norm = (values: readonly number[]) => sum(values.map((value) => Math.abs(value) ** p)) ** (1 / p)
    return zip(x!, reduce(x!, [fromFront(int(node, 'axis', -1), x!.dims.length)], true, norm), (a, b) => a / b)
  },
  MeanVarianceNormalization: ([x], node) => standardize(x!, ints(node, 'axes', [0, 2, 3]), 0).y,
  LRN([x], node) {
    const size = int(node, 'size', 1)
    const [alpha, beta, bias] = [float(node, 'alpha', 1e-4), float(node, 'beta', 0.75), float(node, 'bias', 1)]
    return make(x!.dims, (index) => {
      const channel = index[1]!
      const first = Math.max(0, channel - Math.floor((size - 1) / 2))
      const last = Math.min(x!.dims[1]! - 1, channel + Math.ceil((size - 1) / 2))
      let squares = 0
      for (let c = first; c <= last; c++) squares += at(x!, [index[0]!, c, ...index.slice(2)]) ** 2
      return at(x!, index) / (bias + (alpha / size) * squares) ** beta
    })
  },
  Softmax: ([x], node) => map(logSoftmax(x!, int(node, 'axis', -1)), Math.exp),
  LogSoftmax: ([x], node) => logSoftmax(x!, int(node, 'axis', -1)),
}
