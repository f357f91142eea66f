// Normalisation to mean 0 and variance 1, forward and backward; scale and bias are ordinary Mul and Add around it.
// For y = d r with d = x - mean(x), r = 1 / sqrt(mean(d^2) + epsilon), means over the normalised axes (Ioffe and Szegedy 2015,
// arXiv:1502.03167; Ba, Kiros and Hinton 2016, arXiv:1607.06450): dX = r (dY - mean(dY) - y mean(dY y)).
import { sizeOf } from '../../protocol/layout.ts'
import { floatAttribute, floatTensor, intAttribute } from '../graph.ts'
import type { GradientContext, Operator, Operators } from './types.ts'

const DEFAULT_EPSILON = 1e-5
const KEEP = { keepdims: { int: 1 } } as const

function gradient({ node, b, grad }: GradientContext, axes: readonly number[], inverse: string): string[] {
  const [y = ''] = node.outputs
  const mean = (value: string) => b.op('ReduceMean', [value, b.ints(axes)], KEEP)
  const centred = b.op('Sub', [grad, mean(grad)])
  const along = b.op('Mul', [y, mean(b.op('Mul', [grad, y]))])
  return [b.op('Mul', [inverse, b.op('Sub', [centred, along])])]
}

/** Over the axes from `axis` to the last. Results: y; mean and 1 / deviation, which onnxruntime's kernel yields on the way. */
const normalize: Operator = {
  results: 3,
  shapes({ node, shapes }) {
    const dims = shapes[0]!
    const kept = dims.map((dim, i) => (i < intAttribute(node, 'axis', -1) ? dim : 1))
    return [dims, kept, kept]
  },
  emit({ node, b, shapes }) {
    const normalised = shapes[0]!.slice(intAttribute(node, 'axis', -1))
    const ones = b.tensor(floatTensor(new Float32Array(sizeOf(normalised)).fill(1), normalised))
    b.add({ ...node, op: 'LayerNormalization', inputs: [node.inputs[0]!, ones] })
  },
  gradient(context) {
    const axes = [...context.shape.keys()].slice(intAttribute(context.node, 'axis', -1))
    return gradient(context, axes, context.node.outputs[2]!)
  },
}

/** Over all axes but 1, the channels, as a batch in training. Results: y; mean, variance (of the population) and 1 / deviation, [1, C, 1, ...]. */
const normalizeBatch: Operator = {
  results: 4,
  shapes({ shapes }) {
    const dims = shapes[0]!
    const channels = dims.map((dim, i) => (i === 1 ? dim : 1))
    return [dims, channels, channels, channels]
  },
  emit({ node, b, shapes }) {
    const [y = '', mean = '', variance = '', inverse = ''] = node.outputs
    const x = node.inputs[0]!
    const axes = b.ints(batchAxes(shapes[0]!))
    b.add({ op: 'ReduceMean', name: node.name, inputs: [x, axes], outputs: [mean], attributes: KEEP })
    const centred = b.op('Sub', [x, mean])
    b.add({ op: 'ReduceMean', name: node.name, inputs: [b.op('Mul', [centred, centred]), axes], outputs: [variance], attributes: KEEP })
    const epsilon = b.scalar(floatAttribute(node, 'epsilon', DEFAULT_EPSILON))
    const deviation = b.op('Sqrt', [b.op('Add', [variance, epsilon])])
    b.add({ op: 'Reciprocal', name: node.name, inputs: [deviation], outputs: [inverse], attributes: {} })
    b.add({ op: 'Mul', name: node.name, inputs: [centred, inverse], outputs: [y], attributes: {} })
  },
  gradient: (context) => gradient(context, batchAxes(context.shape), context.node.outputs[3]!),
}

const batchAxes = (dims: readonly number[]): number[] => [...dims.keys()].filter((axis) => axis !== 1)

/** Names with a dot are the compilers' own: no model can use them. */
export const normalization: Operators = { 'own.Normalize': normalize, 'own.NormalizeBatch': normalizeBatch }
