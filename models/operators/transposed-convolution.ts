// Transposed convolution as standard operators: the forward ConvTranspose, and the gradient to Conv's input.
import { sizeOf } from '../../protocol/layout.ts'
import type { Builder } from '../builder.ts'
import { floatTensor, invalid } from '../graph.ts'
import type { Shape } from './types.ts'

export interface TransposedOptions {
  /** [N, C, ...spatial], of two or three spatial axes. */
  shape: Shape
  /** [C, M / group, ...kernel]. */
  weights: Shape
  group: number
  strides: Shape
  dilations: Shape
  /** Positions cut off before each axis. */
  before: Shape
  /** Spatial sizes of the result; no more than a stride beyond what the kernel reaches. */
  sizes: Shape
}

/** Numbers of the matrix that places depths: a first axis of some 1,000; more would take too much memory. */
const DEPTH_MATRIX = 2 ** 22

/** The transposed convolution of `x` by `w` [N, M, ...sizes], plus a bias [M] where there is one. */
export function transposed(b: Builder, [x, w, bias]: readonly [string, string, string?], options: TransposedOptions): string {
  if (options.sizes.length === 2) return cropped(b, bias ? [x, w, bias] : [x, w], options)
  const value = foldDepth(b, x, w, options)
  return bias ? b.op('Add', [value, b.op('Reshape', [bias, b.ints([-1, 1, 1, 1])])]) : value
}

/**
 * Two axes. What no window reached behind the last one comes from output_padding. What is to be cut off is cut by hand:
 * with pads onnxruntime's kernel misses its fast path, and takes 1.1 to 1.5 times as long.
 */
function cropped(
  b: Builder,
  inputs: readonly string[],
  { shape, weights, group, strides, dilations, before, sizes }: TransposedOptions,
): string {
  const kernel = weights.slice(2)
  const reach = kernel.map((size, axis) => (shape[axis + 2]! - 1) * strides[axis]! + (size - 1) * dilations[axis]! + 1)
  const ends = sizes.map((size, axis) => before[axis]! + size)
  const full = b.op('ConvTranspose', inputs, {
    kernel_shape: { ints: kernel },
    strides: { ints: strides },
    dilations: { ints: dilations },
    group: { int: group },
    output_padding: { ints: ends.map((end, axis) => Math.max(0, end - reach[axis]!)) },
  })
  const isWhole = ends.every((end, axis) => before[axis] === 0 && end >= reach[axis]!)
  return isWhole ? full : b.op('Slice', [full, b.ints(before), b.ints(ends), b.ints([2, 3])])
}

/**
 * Three axes: onnxruntime's kernel takes two to six times as long as this. In two axes, with the depth among the samples and the
 * kernel's depth among the channels; then each depth of the result sums what falls on it, a product with a matrix of zeros and ones.
 */
function foldDepth(b: Builder, x: string, w: string, options: TransposedOptions): string {
  const { shape, weights, group, strides, dilations, before, sizes } = options
  const [n, c, depth, ...plane] = shape as [number, number, number, number, number]
  const [, m, kernelDepth, ...kernel] = weights as [number, number, number, number, number]
  const [size, ...rest] = sizes as [number, number, number]
  const flat = {
    group,
    shape: [n * depth, c, ...plane],
    weights: [c, m * kernelDepth, ...kernel],
    strides: strides.slice(1),
    dilations: dilations.slice(1),
    before: before.slice(1),
    sizes: rest,
  }
  const samples = b.op('Reshape', [b.op('Transpose', [x], { perm: { ints: [0, 2, 1, 3, 4] } }), b.ints(flat.shape)])
  const planes = cropped(b, [samples, b.op('Reshape', [w, b.ints(flat.weights)])], flat)
  const apart = b.op('Reshape', [planes, b.ints([n, depth, m * group, kernelDepth, sizeOf(rest)])])
  const byDepth = b.op('Reshape', [b.op('Transpose', [apart], { perm: { ints: [0, 3, 1, 2, 4] } }), b.ints([n, kernelDepth * depth, -1])])
  if (size * kernelDepth * depth > DEPTH_MATRIX) {
    throw invalid(`A convolution over three axes has a first axis of ${size}, too long to train here; put a shorter one first.`)
  }
  const matrix = Array.from({ length: size * kernelDepth * depth }, (_, i) => {
    const [to, tap, from] = [Math.floor(i / (kernelDepth * depth)), Math.floor(i / depth) % kernelDepth, i % depth]
    return from * strides[0]! + tap * dilations[0]! - before[0]! === to ? 1 : 0
  })
  const sums = b.op('MatMul', [b.tensor(floatTensor(matrix, [size, kernelDepth * depth])), byDepth])
  const channels = b.op('Reshape', [sums, b.ints([n, size, m * group, ...rest])])
  return b.op('Transpose', [channels], { perm: { ints: [0, 2, 1, 3, 4] } })
}
