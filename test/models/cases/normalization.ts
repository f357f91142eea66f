// Gradient cases: normalisations.
import fc from 'fast-check'
import { floatTensor } from '../../../models/graph.ts'
import type { Parts } from '../helpers.ts'
import { type Attributes, batched, type Case, floating, whole } from './case.ts'

/** Running statistics, which no gradient reaches: a mean and a variance for each channel. */
function statistics({ b }: Parts, channels: number): [string, string] {
  const values = Array.from({ length: channels }, (_, i) => 0.5 + 0.25 * i)
  b.constants.set('running_mean', floatTensor(values, [channels]))
  b.constants.set('running_var', floatTensor(values, [channels]))
  return ['running_mean', 'running_var']
}

function batchNorm(name: string, shape: number[], attributes: Attributes, outputs = 1, opset?: number): Case {
  const channels = shape[0]!
  return batched(
    `BatchNormalization ${name}`,
    shape,
    (parts, x) => {
      const scale = parts.weight('scale', [channels], 1)
      return parts.b.ops(
        'BatchNormalization',
        [x, scale, parts.weight('bias', [channels]), ...statistics(parts, channels)],
        outputs,
        attributes,
      )[0]!
    },
    opset,
  )
}

const training = { ...whole({ training_mode: 1 }), ...floating({ epsilon: 1e-3, momentum: 0.8 }) }

function layerNorm(name: string, shape: number[], from: number, attributes: Attributes, bias = true): Case {
  return batched(`LayerNormalization ${name}`, shape, ({ b, weight }, x) =>
    b.op(
      'LayerNormalization',
      [x, weight('scale', shape.slice(from), 1), ...(bias ? [weight('bias', shape.slice(from))] : [])],
      attributes,
    ),
  )
}

function groupNorm(num_groups: number, shape: number[], opset: 18 | 21): Case {
  const size = opset === 18 ? num_groups : shape[0]!
  return batched(
    `GroupNormalization in ${num_groups} groups of [${shape}] at opset ${opset}`,
    shape,
    ({ b, weight }, x) => b.op('GroupNormalization', [x, weight('scale', [size], 1), weight('bias', [size])], whole({ num_groups })),
    opset,
  )
}

const perChannel = (op: string, name: string, shape: number[], attributes: Attributes = {}): Case =>
  batched(`${op} ${name}`, shape, ({ b, weight }, x) =>
    b.op(op, [x, weight('scale', [shape[0]!], 1), weight('bias', [shape[0]!])], attributes),
  )

const lpNorm = (shape: number[], p: number, axis: number): Case =>
  batched(`LpNormalization of order ${p} of [${shape}] over axis ${axis}`, shape, ({ b }, x) =>
    b.op('LpNormalization', [x], whole({ p, axis })),
  )

const localResponse = (shape: number[], size: number): Case =>
  batched(`LRN of [${shape}] over ${size} channels`, shape, ({ b }, x) =>
    b.op('LRN', [x], { ...whole({ size }), ...floating({ alpha: 0.5, beta: 0.6, bias: 1.5 }) }),
  )

export const NORMALIZATIONS: Case[] = [
  batchNorm('in training', [3, 2, 2], training, 3),
  batchNorm('in training, 1-D', [3, 4], training, 3),
  batchNorm('in training, 3-D', [2, 2, 2, 2], training, 3),
  batchNorm('in training, of vectors', [4], training, 3),
  batchNorm('in training before training_mode', [3, 2, 2], floating({ momentum: 0.8 }), 5, 13),
  batchNorm('by running statistics', [3, 2, 2], whole({ training_mode: 0 })),
  batchNorm('by running statistics, of vectors', [4], floating({ epsilon: 0.1 })),
  layerNorm('of the last axis', [3, 5], 1, {}),
  layerNorm('of the last two axes', [2, 3, 4], 1, whole({ axis: -2 })),
  layerNorm('of all axes but the batch', [2, 3], 0, whole({ axis: 1 })),
  layerNorm('without a bias', [3, 5], 1, floating({ epsilon: 0.1 }), false),
  perChannel('InstanceNormalization', '2-D', [3, 3, 2]),
  perChannel('InstanceNormalization', '1-D', [3, 4], floating({ epsilon: 0.01 })),
  perChannel('InstanceNormalization', '3-D', [2, 2, 2, 2]),
  groupNorm(2, [4, 2, 2], 21),
  groupNorm(1, [3, 3], 21),
  groupNorm(4, [4, 3], 21),
  groupNorm(2, [6, 2, 2], 18),
  groupNorm(3, [3, 2, 2], 18),
  ...[1, 2].flatMap((p) => [-1, 1].map((axis) => lpNorm([3, 4], p, axis))),
  batched('MeanVarianceNormalization', [3, 3, 2], ({ b }, x) => b.op('MeanVarianceNormalization', [x])),
  batched('MeanVarianceNormalization over chosen axes', [3, 3, 2], ({ b }, x) =>
    b.op('MeanVarianceNormalization', [x], whole({ axes: [2, 3] })),
  ),
  ...[1, 3, 5].map((size) => localResponse([6, 2, 2], size)),
]

/** Three numbers at least: of two, normalised, only the sign is left, and of its gradient only rounding. */
const dims = fc.array(fc.integer({ min: 3, max: 4 }), { minLength: 1, maxLength: 2 })

export const anyNormalization: fc.Arbitrary<Case> = fc.oneof(
  fc
    .record({ dims, channels: fc.integer({ min: 1, max: 4 }) })
    .map(({ dims, channels }) => batchNorm(`of [${[channels, ...dims]}]`, [channels, ...dims], training, 3)),
  fc.record({ dims, axis: fc.nat(2), back: fc.boolean(), bias: fc.boolean() }).map(({ dims, axis, back, bias }) => {
    const from = Math.min(axis, dims.length - 1)
    // The batch is axis 0 of the value, but not part of a sample's shape.
    const given = back ? from - dims.length : from + 1
    return layerNorm(`of [${dims}] from axis ${given}, bias ${bias}`, dims, from, whole({ axis: given }), bias)
  }),
  fc
    .record({
      dims,
      groups: fc.integer({ min: 1, max: 3 }),
      each: fc.integer({ min: 1, max: 2 }),
      opset: fc.constantFrom(18 as const, 21 as const),
    })
    .map(({ dims, groups, each, opset }) => groupNorm(groups, [groups * each, ...dims], opset)),
  fc
    .record({ dims, channels: fc.integer({ min: 1, max: 7 }), half: fc.nat(3) })
    .map(({ dims, channels, half }) => localResponse([channels, dims[0]!, 2], 2 * half + 1)),
  fc
    .record({ dims, p: fc.constantFrom(1, 2), axis: fc.nat(2), back: fc.boolean() })
    .map(({ dims, p, axis, back }) => lpNorm(dims, p, (axis % dims.length) + (back ? -dims.length : 1))),
)
