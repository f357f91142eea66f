// The sliding window that convolution and pooling share (ONNX Conv, MaxPool, AveragePool), for two spatial axes.
import { describeNode, intAttribute, intsAttribute, invalid, type Node, stringAttribute } from '../graph.ts'
import type { Shape } from './types.ts'

export interface Window {
  kernel: readonly [number, number]
  strides: readonly [number, number]
  dilations: readonly [number, number]
  /** top, left, bottom, right */
  pads: readonly [number, number, number, number]
  /** Positions of the window along height and width. */
  out: readonly [number, number]
}

/** @throws model-invalid if the window does not fit, or `input` is not [batch, channels, height, width] */
export function windowOf(node: Node, input: Shape, kernelShape?: Shape): Window {
  if (input.length !== 4) {
    throw invalid(`${describeNode(node)} works on shape [${input.join(', ')}]; only batches of images, [N, C, H, W], are supported.`)
  }
  const numbers = (name: string, length: number, fallback: number) => {
    const values = intsAttribute(node, name) ?? Array(length).fill(fallback)
    if (values.length !== length || values.some((value) => value < (name === 'pads' ? 0 : 1))) {
      throw invalid(`${describeNode(node)} has ${name} [${values.join(', ')}], which is not supported.`)
    }
    return values
  }
  const kernel = intsAttribute(node, 'kernel_shape') ?? kernelShape ?? []
  if (kernel.length !== 2 || kernel.some((size) => size < 1)) {
    throw invalid(`${describeNode(node)} has a kernel of shape [${kernel.join(', ')}]; two axes are supported.`)
  }
  const strides = numbers('strides', 2, 1)
  const dilations = numbers('dilations', 2, 1)
  const spans = kernel.map((size, axis) => (size - 1) * dilations[axis]! + 1)
  const sizes = input.slice(2)
  const auto = stringAttribute(node, 'auto_pad', 'NOTSET')
  const pads = auto === 'NOTSET' || auto === '' ? [...numbers('pads', 4, 0)] : autoPads(auto, sizes, spans, strides)
  const ceil = intAttribute(node, 'ceil_mode', 0) === 1
  const out = sizes.map((size, axis) => {
    const room = size + pads[axis]! + pads[axis + 2]! - spans[axis]!
    const positions = (ceil ? Math.ceil : Math.floor)(room / strides[axis]!) + 1
    // With ceil_mode, a window that would begin in the padding behind the image does not count.
    const outside = ceil && (positions - 1) * strides[axis]! >= size + pads[axis]!
    return outside ? positions - 1 : positions
  })
  if (out.some((positions) => positions < 1)) {
    throw invalid(`${describeNode(node)} has a window of [${spans.join(', ')}], larger than its input [${input.join(', ')}].`)
  }
  const pair = (values: readonly number[]) => [values[0]!, values[1]!] as const
  return {
    kernel: pair(kernel),
    strides: pair(strides),
    dilations: pair(dilations),
    pads: [pads[0]!, pads[1]!, pads[2]!, pads[3]!],
    out: pair(out),
  }
}

/** SAME_UPPER, SAME_LOWER: as many positions as the stride divides into the size; VALID: no padding. */
function autoPads(auto: string, sizes: Shape, spans: Shape, strides: Shape): number[] {
  if (auto === 'VALID') return [0, 0, 0, 0]
  const total = sizes.map((size, axis) => {
    const positions = Math.ceil(size / strides[axis]!)
    return Math.max(0, (positions - 1) * strides[axis]! + spans[axis]! - size)
  })
  const half = total.map((pad) => (auto === 'SAME_LOWER' ? Math.ceil(pad / 2) : Math.floor(pad / 2)))
  return [half[0]!, half[1]!, total[0]! - half[0]!, total[1]! - half[1]!]
}
