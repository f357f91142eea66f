// The sliding window that convolution and pooling share (ONNX Conv, MaxPool, AveragePool), for one to three spatial axes.
import { describeNode, intAttribute, intsAttribute, invalid, type Node, stringAttribute } from '../graph.ts'
import type { Shape } from './types.ts'

/** One number an axis, but for the pads. */
export interface Window {
  kernel: readonly number[]
  strides: readonly number[]
  dilations: readonly number[]
  /** Before each axis, then behind each. */
  pads: readonly number[]
  /** Positions of the window. */
  out: readonly number[]
}

/** Spatial axes that onnxruntime's kernels have. */
const MAX_AXES = 3

/**
 * @param kernelShape of the weights, where there are some
 * @throws model-invalid if the window does not fit, or `input` is not [batch, channels, ...spatial]
 */
export function windowOf(node: Node, input: Shape, kernelShape?: Shape): Window {
  const { kernel, strides, dilations, pads: given, auto, spans } = windowAttributes(node, input, kernelShape)
  const sizes = input.slice(2)
  const pads = auto === 'NOTSET' ? given : autoPads(auto, sizes, spans, strides)
  const ceil = auto === 'NOTSET' && intAttribute(node, 'ceil_mode', 0) === 1
  const out = sizes.map((size, axis) => {
    const room = size + pads[axis]! + pads[axis + sizes.length]! - spans[axis]!
    const positions = (ceil ? Math.ceil : Math.floor)(room / strides[axis]!) + 1
    // With ceil_mode, a window that would begin in the padding behind the image does not count.
    const outside = ceil && (positions - 1) * strides[axis]! >= size + pads[axis]!
    return outside ? positions - 1 : positions
  })
  if (out.some((positions) => positions < 1)) {
    throw invalid(`${describeNode(node)} has a window of [${spans.join(', ')}], larger than its input [${input.join(', ')}].`)
  }
  return { kernel, strides, dilations, pads, out }
}

/** The window's attributes with their defaults; `spans` is the kernel's extent once dilated. @throws model-invalid */
export function windowAttributes(node: Node, input: Shape, kernelShape?: Shape) {
  const axes = input.length - 2
  if (axes < 1 || axes > MAX_AXES) {
    throw invalid(
      `${describeNode(node)} works on shape [${input.join(', ')}]; batches with channels and 1 to ${MAX_AXES} axes are supported.`,
    )
  }
  const numbers = (name: string, length: number, fallback: number) => {
    const values = intsAttribute(node, name) ?? Array<number>(length).fill(fallback)
    if (values.length !== length || values.some((value) => value < fallback)) {
      throw invalid(`${describeNode(node)} has ${name} [${values.join(', ')}], which is not supported.`)
    }
    return values
  }
  const kernel = intsAttribute(node, 'kernel_shape') ?? kernelShape ?? []
  if (kernel.length !== axes || kernel.some((size) => size < 1) || (kernelShape !== undefined && kernelShape.join() !== kernel.join())) {
    throw invalid(
      `${describeNode(node)} has a kernel of shape [${kernel.join(', ')}] for an input of [${input.join(', ')}], which do not fit.`,
    )
  }
  const dilations = numbers('dilations', axes, 1)
  const auto = stringAttribute(node, 'auto_pad', 'NOTSET') || 'NOTSET'
  return {
    kernel,
    dilations,
    strides: numbers('strides', axes, 1),
    pads: auto === 'NOTSET' ? numbers('pads', 2 * axes, 0) : Array<number>(2 * axes).fill(0),
    auto,
    spans: kernel.map((size, axis) => (size - 1) * dilations[axis]! + 1),
  }
}

/** SAME_UPPER, SAME_LOWER: as many positions as the stride divides into the size; VALID: no padding. */
function autoPads(auto: string, sizes: Shape, spans: Shape, strides: Shape): number[] {
  const total = sizes.map((size, axis) => {
    const positions = Math.ceil(size / strides[axis]!)
    return auto === 'VALID' ? 0 : Math.max(0, (positions - 1) * strides[axis]! + spans[axis]! - size)
  })
  return splitPads(total, auto !== 'SAME_LOWER')
}

/** Halves before and behind each axis; an odd one goes behind where `upper`. */
export function splitPads(total: Shape, upper: boolean): number[] {
  const before = total.map((pad) => (upper ? Math.floor : Math.ceil)(pad / 2))
  return [...before, ...total.map((pad, axis) => pad - before[axis]!)]
}
