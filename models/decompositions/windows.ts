// Convolution and pooling as their primitives take them: with every attribute written out, over two or three axes. Much that
// onnxruntime's kernels refuse or read differently, such as auto_pad with dilations, goes on the way.
import { type Attribute, describeNode, intAttribute, intsAttribute, intTensor, invalid, type Node } from '../graph.ts'
import { splitPads, type Window, windowAttributes, windowOf } from '../operators/window.ts'
import type { Decomposition, DecompositionContext, Decompositions } from './types.ts'

type Attributes = Record<string, Attribute>

const written = ({ kernel, strides, dilations, pads }: Omit<Window, 'out'>): Record<string, readonly number[]> => ({
  kernel_shape: kernel,
  strides,
  dilations,
  pads,
})

/** Emits the node with `lists`, numbers by axis, as attributes. One axis becomes the last of two, the first of size 1. */
function emitWindow(
  node: Node,
  context: DecompositionContext,
  op: string,
  lists: Record<string, readonly number[]>,
  more: Attributes,
): void {
  const { shapes, emit, define, shapeOf, unused } = context
  const isFlat = shapes[0]!.length === 3
  const pairs = Object.entries(lists).map(([name, values]): [string, Attribute] => {
    const [first = 0, second = 0] = values
    const unit = name === 'pads' ? [0, first, 0, second] : [name === 'output_padding' ? 0 : 1, first]
    return [name, { ints: isFlat ? unit : values }]
  })
  const attributes = { ...Object.fromEntries(pairs), ...more }
  if (!isFlat) {
    emit(op, node.inputs, attributes, node.outputs)
    return
  }
  const reshape = (value: string, dims: readonly number[], outputs?: readonly string[]) =>
    emit('Reshape', [value, define(intTensor(dims))], {}, outputs)
  const inputs = node.inputs.map((input, i) => {
    if (i > 1) return input
    if (shapes[i]!.length !== 3)
      throw invalid(`${describeNode(node)} has weights [${shapes[i]!.join(', ')}] for an input of three dimensions.`)
    const [n, c, size] = shapes[i]!
    return reshape(input, [n!, c!, 1, size!])
  })
  const value = emit(op, inputs, attributes, [unused(), ...node.outputs.slice(1)])
  const [n, c, , size] = shapeOf(value)
  reshape(value, [n!, c!, size!], [node.outputs[0]!])
}

const isWrittenOut = ({ attributes }: Node, { shapes }: DecompositionContext): boolean =>
  shapes[0]!.length !== 3 && attributes.auto_pad === undefined && attributes.kernel_shape !== undefined

const Conv: Decomposition = (node, context) => {
  if (isWrittenOut(node, context)) return false
  const window = windowOf(node, context.shapes[0]!, context.shapes[1]!.slice(2))
  emitWindow(node, context, 'Conv', written(window), { group: { int: intAttribute(node, 'group', 1) } })
}

/** Numbers along one axis that a pool's windows take, all positions together: bounds the time to compile. */
const MAX_TAKEN = 2 ** 24

/** @param names attributes that stay as they are; storage_order is not among them, since it only concerns the indices */
const pool =
  (names: readonly string[]): Decomposition =>
  (node, context) => {
    const x = context.shapes[0]!
    const { kernel, pads, out, ...window } = windowOf(node, x)
    // onnxruntime refuses it, as no window may lie wholly in the padding.
    if (pads.some((pad, i) => pad >= kernel[i % kernel.length]!)) {
      throw invalid(`${describeNode(node)} has pads [${pads.join(', ')}] for a window of [${kernel.join(', ')}]; they must be smaller.`)
    }
    if (kernel.some((size, axis) => size * out[axis]! > MAX_TAKEN)) {
      throw invalid(
        `${describeNode(node)} has ${out.join(' x ')} windows of [${kernel.join(', ')}], which is too much; use larger strides.`,
      )
    }
    const { ceil_mode, storage_order, ...others } = node.attributes
    // Where it changes nothing it goes: onnxruntime's shape inference counts a window that its kernel then leaves out.
    const isCeil = out.join() !== windowOf({ ...node, attributes: others }, x).out.join()
    if (isWrittenOut(node, context) && storage_order === undefined && (ceil_mode === undefined || isCeil)) return false
    const kept = Object.entries(others).filter(([name]) => names.includes(name))
    const attributes = { ...Object.fromEntries(kept), ...(isCeil && { ceil_mode: { int: 1 } }) }
    emitWindow(node, context, node.op, written({ kernel, pads, ...window }), attributes)
  }

/**
 * Sizes the result as ONNX does: by output_shape; by auto_pad, to the input's times the stride; or by pads and output_padding, which
 * come as one: padding cut off, or else less than a stride added. What is more than that comes from zeros behind the input.
 */
const ConvTranspose: Decomposition = (node, context) => {
  const { shapes, emit, define } = context
  const [x = [], w = []] = shapes
  const { kernel, strides, dilations, pads, auto, spans } = windowAttributes(node, x, w.slice(2))
  const axes = kernel.length
  const extra = intsAttribute(node, 'output_padding') ?? kernel.map(() => 0)
  const asked =
    intsAttribute(node, 'output_shape') ?? (auto.startsWith('SAME') ? strides.map((stride, i) => stride * x[i + 2]!) : undefined)
  if ([extra, asked].some((list) => list !== undefined && (list.length !== axes || list.some((value) => value < 0)))) {
    throw invalid(`${describeNode(node)} has an output_padding or output_shape that does not fit its ${axes} axes.`)
  }
  const reach = spans.map((span, axis) => (x[axis + 2]! - 1) * strides[axis]! + span)
  const total = asked?.map((size, axis) => reach[axis]! + extra[axis]! - size)
  const halves =
    total &&
    splitPads(
      total.map((count) => Math.max(0, count)),
      auto === 'SAME_UPPER',
    )
  const before = (halves ?? pads).slice(0, axes)
  const sizes = asked ?? reach.map((length, axis) => length + extra[axis]! - pads[axis]! - pads[axis + axes]!)
  const cut = sizes.map((size, axis) => reach[axis]! - before[axis]! - size)
  if (sizes.some((size) => size < 1)) throw invalid(`${describeNode(node)} yields an image of [${sizes.join(', ')}].`)
  const zeros = cut.map((count, axis) => (count < 0 ? Math.floor(-count / strides[axis]!) : 0))
  const input = zeros.some((count) => count > 0)
    ? emit('Pad', [node.inputs[0]!, define(intTensor([...x.map(() => 0), 0, 0, ...zeros]))])
    : node.inputs[0]!
  const left = cut.map((count, axis) => count + zeros[axis]! * strides[axis]!)
  const behind = left.map((count) => Math.max(0, count))
  const lists = {
    ...written({ kernel, strides, dilations, pads: [...before, ...behind] }),
    output_padding: left.map((count) => Math.max(0, -count)),
  }
  const padded = { ...context, shapes: [x.map((size, i) => size + (zeros[i - 2] ?? 0)), ...shapes.slice(1)] }
  emitWindow({ ...node, inputs: [input, ...node.inputs.slice(1)] }, padded, 'own.ConvTranspose', lists, {
    group: { int: intAttribute(node, 'group', 1) },
  })
}

export const windows: Decompositions = {
  AveragePool: pool(['count_include_pad']),
  Conv,
  ConvTranspose,
  MaxPool: pool([]),
}
