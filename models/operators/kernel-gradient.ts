// The gradient to a convolution's weights: for each kernel tap, output gradients times the inputs that the tap met. Of its
// formulations in standard operators, these were measured to be the fastest on onnxruntime's CPU provider; convolution of
// permuted tensors takes 1.7 to 2.6 times as long.
import { sizeOf } from '../../protocol/layout.ts'
import type { Builder } from '../builder.ts'
import type { Shape } from './types.ts'
import type { Window } from './window.ts'

/** Channels from which one product a tap is faster than one product over gathered columns. */
const SHIFT_CHANNELS = 8

export interface KernelGradientOptions {
  /** What the window slides over, [N, C, ...spatial]. */
  image: string
  imageShape: Shape
  /** dL/d what the window yields, [N, M, ...window.out]. */
  rows: string
  /** [M, C / group, ...kernel]. */
  weights: Shape
  group: number
  window: Window
}

/** dL/d weights. */
export function kernelGradient(b: Builder, options: KernelGradientOptions): string {
  const { image, weights, group, window } = options
  const { pads, kernel } = window
  const axes = kernel.length
  const padded = pads.some((pad) => pad > 0)
    ? b.op('Pad', [image, b.ints([0, 0, ...pads.slice(0, axes), 0, 0, ...pads.slice(axes)])])
    : image
  if (group > 1 && weights[0] === group && weights[1] === 1) return depthwise(b, options, padded)
  // A kernel of one tap has its columns for nothing.
  const isShifted = group === 1 && weights[1]! >= SHIFT_CHANNELS && sizeOf(kernel) > 1
  return isShifted ? shiftProducts(b, options, padded) : columnProduct(b, options, padded)
}

/** For each kernel tap (row-major), the inputs that it met, as a strided slice of the padded image along axes `first` and following. */
function taps(b: Builder, padded: string, first: number, { kernel, strides, dilations, out }: Window): string[] {
  const axes = b.ints([...kernel.keys()].map((axis) => axis + first))
  return Array.from({ length: sizeOf(kernel) }, (_, tap) => {
    const starts = kernel.map((size, axis) => (Math.floor(tap / sizeOf(kernel.slice(axis + 1))) % size) * dilations[axis]!)
    const ends = starts.map((start, axis) => start + (out[axis]! - 1) * strides[axis]! + 1)
    return b.op('Slice', [padded, b.ints(starts), b.ints(ends), axes, b.ints(strides)])
  })
}

/** Many channels: for each tap, dY as [M, N*O*O] times the shifted image as [N*O*O, C]. */
function shiftProducts(b: Builder, { rows, weights, window }: KernelGradientOptions, padded: string): string {
  const [m, c] = weights
  const spatial = [...window.kernel.keys()].map((axis) => axis + 2)
  const flat = b.op('Reshape', [b.op('Transpose', [rows], { perm: { ints: [1, 0, ...spatial] } }), b.ints([m!, -1])])
  const channelsLast = b.op('Transpose', [padded], { perm: { ints: [0, ...spatial, 1] } })
  const products = taps(b, channelsLast, 1, window).map((slice) => b.op('MatMul', [flat, b.op('Reshape', [slice, b.ints([-1, c!])])]))
  return tapsLast(b, b.op('Concat', products, { axis: { int: 1 } }), weights)
}

/** The weights' gradient by tap, [M, taps, C], as [M, C, ...kernel]. */
function tapsLast(b: Builder, byTap: string, weights: Shape): string {
  const [m, c, ...kernel] = weights
  const turned = b.op('Transpose', [b.op('Reshape', [byTap, b.ints([m!, sizeOf(kernel), c!])])], { perm: { ints: [0, 2, 1] } })
  return b.op('Reshape', [turned, b.ints(weights)])
}

/** Few channels: all taps' images as columns, one product a sample and group, summed over the batch. */
function columnProduct(b: Builder, { imageShape, rows, weights, group, window }: KernelGradientOptions, padded: string): string {
  const { kernel, pads, out } = window
  const n = imageShape[0]!
  const sizes = imageShape.slice(2).map((size, axis) => size + pads[axis]! + pads[axis + kernel.length]!)
  const grouped = b.op('Reshape', [padded, b.ints([n, group, weights[1]!, ...sizes])])
  const columns = b.op('Concat', taps(b, grouped, 3, window), { axis: { int: 2 } })
  const flat = b.op('Reshape', [columns, b.ints([n, group, sizeOf(weights.slice(1)), sizeOf(out)])])
  const left = b.op('Reshape', [rows, b.ints([n, group, weights[0]! / group, sizeOf(out)])])
  const products = b.op('MatMul', [left, b.op('Transpose', [flat], { perm: { ints: [0, 1, 3, 2] } })])
  return tapsLast(b, b.op('ReduceSum', [products, b.ints([0])], { keepdims: { int: 0 } }), weights)
}

/** A filter for each channel: no sum over channels, so nothing to gain from products of matrices. */
function depthwise(b: Builder, { rows, weights, window }: KernelGradientOptions, padded: string): string {
  const over = b.ints([0, ...[...window.kernel.keys()].map((axis) => axis + 2)])
  const sums = taps(b, padded, 2, window).map((slice) => {
    const sum = b.op('ReduceSum', [b.op('Mul', [slice, rows]), over], { keepdims: { int: 0 } })
    return b.op('Reshape', [sum, b.ints([weights[0]!, 1])])
  })
  return b.op('Reshape', [b.op('Concat', sums, { axis: { int: 1 } }), b.ints(weights)])
}
