// Convolution over two or three axes, and its transpose, with all attributes written out: see ../decompositions/windows.ts.

import { sizeOf } from '../../protocol/layout.ts'
import { describeNode, intAttribute, intsAttribute, invalid, type Node } from '../graph.ts'
import { kernelGradient } from './kernel-gradient.ts'
import { type TransposedOptions, transposed } from './transposed-convolution.ts'
import type { GradientContext, Operator, Operators, Shape, ShapeContext } from './types.ts'
import { windowOf } from './window.ts'

const mismatch = ({ node, shapes }: ShapeContext) => {
  const [x = [], w = [], bias] = shapes
  const more = node.inputs[2] ? ` and a bias of [${bias?.join(', ')}]` : ''
  return invalid(`${describeNode(node)} has weights [${w.join(', ')}]${more} for an input of shape [${x.join(', ')}], which do not fit.`)
}

/** Taps of a kernel: the gradient takes some nodes for each, so this bounds the time to compile. */
const MAX_TAPS = 1024

function checkTaps(node: Node, kernel: Shape): void {
  if (sizeOf(kernel) > MAX_TAPS)
    throw invalid(`${describeNode(node)} has a kernel of [${kernel.join(', ')}]; at most ${MAX_TAPS} numbers are supported.`)
}

const groupOf = (node: Node): number => intAttribute(node, 'group', 1)

const fitsBias = ({ node, shapes }: ShapeContext, channels: number): boolean =>
  !node.inputs[2] || (shapes[2]?.length === 1 && shapes[2][0] === channels)

/** Every output of a channel has the bias. */
function biasGradient({ node, b, grad, shape, needs }: GradientContext): string | undefined {
  const axes = [...shape.keys()].filter((axis) => axis !== 1)
  return node.inputs[2] && needs(2) ? b.op('ReduceSum', [grad, b.ints(axes)], { keepdims: { int: 0 } }) : undefined
}

const Conv: Operator = {
  shape(context) {
    const { node, shapes } = context
    const [x = [], w = []] = shapes
    const group = groupOf(node)
    const fits = w.length === x.length && group >= 1 && w[0]! % group === 0 && w[1]! * group === x[1] && fitsBias(context, w[0]!)
    if (!fits) throw mismatch(context)
    checkTaps(node, w.slice(2))
    return [x[0]!, w[0]!, ...windowOf(node, x, w.slice(2)).out]
  },
  /** dX is the transposed convolution of dY. Col2Im or a flipped Conv take 1.1 to 3 times as long. */
  gradient(context) {
    const { node, b, grad, needs, shape, shapes } = context
    const [x = [], weights = []] = shapes
    const window = windowOf(node, x, weights.slice(2))
    const { strides, dilations, pads } = window
    const group = groupOf(node)
    const sizes = x.slice(2)
    const options = { shape, weights, group, strides, dilations, before: pads.slice(0, sizes.length), sizes }
    return [
      needs(0) ? transposed(b, [grad, node.inputs[1]!], options) : undefined,
      needs(1) ? kernelGradient(b, { image: node.inputs[0]!, imageShape: x, rows: grad, weights, group, window }) : undefined,
      biasGradient(context),
    ]
  },
}

/** Where the kernel lands: `pads` are cut off the result, `output_padding`, less than a stride, is put behind it. */
function transposedOptions({ node, shapes }: ShapeContext): TransposedOptions {
  const [x = [], weights = []] = shapes
  const numbers = (name: string) => intsAttribute(node, name) ?? []
  const [strides, dilations, pads, extra] = [numbers('strides'), numbers('dilations'), numbers('pads'), numbers('output_padding')]
  const axes = x.length - 2
  const sizes = x.slice(2).map((size, axis) => {
    const reach = (size - 1) * strides[axis]! + (weights[axis + 2]! - 1) * dilations[axis]! + 1
    return reach - pads[axis]! - pads[axis + axes]! + extra[axis]!
  })
  return { shape: x, weights, group: groupOf(node), strides, dilations, before: pads.slice(0, axes), sizes }
}

/** The way back of a Conv with the same weights, so its gradients are those of Conv with the parts exchanged. */
const ConvTranspose: Operator = {
  shape(context) {
    const [x = [], w = []] = context.shapes
    const group = groupOf(context.node)
    const channels = w[1]! * group
    if (w.length !== x.length || group < 1 || w[0] !== x[1] || x[1]! % group !== 0 || !fitsBias(context, channels)) throw mismatch(context)
    checkTaps(context.node, w.slice(2))
    return [x[0]!, channels, ...transposedOptions(context).sizes]
  },
  emit(context) {
    const { node, b } = context
    const [x = '', w = '', bias] = node.inputs
    const value = transposed(b, bias ? [x, w, bias] : [x, w], transposedOptions(context))
    b.add({ op: 'Identity', name: node.name, inputs: [value], outputs: node.outputs, attributes: {} })
  },
  gradient(context) {
    const { node, b, grad, needs, shape, shapes } = context
    const [x = '', w = ''] = node.inputs
    const weights = shapes[1]!
    const { output_padding: _, ...attributes } = node.attributes
    const window = windowOf({ ...node, attributes }, shape, weights.slice(2))
    return [
      needs(0) ? b.op('Conv', [grad, w], attributes) : undefined,
      needs(1) ? kernelGradient(b, { image: grad, imageShape: shape, rows: x, weights, group: groupOf(node), window }) : undefined,
      biasGradient(context),
    ]
  },
}

export const convolution: Operators = { Conv, 'own.ConvTranspose': ConvTranspose }
