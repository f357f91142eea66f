// Pooling over one axis or more, with all attributes written out: see ../decompositions/windows.ts.
import { sizeOf } from '../../protocol/layout.ts'
import type { Builder } from '../builder.ts'
import { floatTensor, intAttribute } from '../graph.ts'
import { toFloat } from './elementwise.ts'
import { MATRIX_SIZE, type Matrix, mapAxis, transposeOf } from './separable.ts'
import { transposed } from './transposed-convolution.ts'
import type { GradientContext, Operator, Operators, Shape } from './types.ts'
import { type Window, windowOf } from './window.ts'

const shape: Operator['shape'] = ({ node, shapes }) => [...shapes[0]!.slice(0, 2), ...windowOf(node, shapes[0]!).out]

/** Numbers of a row up to which the sum over a tile is a product, whose cost grows with them. */
const ROW_LENGTH = 1024

/** Windows of an image that lie side by side, each input in at most one. */
const isTiling = ({ kernel, strides, dilations, pads, out }: Window, [, , ...sizes]: Shape): boolean =>
  kernel.length === 2 &&
  (kernel[0] === 1 || sizes[1]! <= ROW_LENGTH) &&
  kernel.every((size, axis) => size === strides[axis] && out[axis]! * size <= sizes[axis]!) &&
  dilations.every((dilation) => dilation === 1) &&
  pads.every((pad) => pad === 0)

/** Each number repeated over its window of a tiling. */
const spread = (b: Builder, value: string, kernel: Shape): string =>
  b.op('Resize', [value, '', b.tensor(floatTensor([1, 1, ...kernel], [4]))], {
    mode: { string: 'nearest' },
    coordinate_transformation_mode: { string: 'asymmetric' },
    nearest_mode: { string: 'floor' },
  })

/** Cuts the rows and columns off that no window of a tiling reached, and puts zeros there again. */
function cropping({ b, shapes }: GradientContext, { kernel, out }: Window) {
  const [, , height = 0, width = 0] = shapes[0]!
  const [h, w] = [kernel[0]! * out[0]!, kernel[1]! * out[1]!]
  if (h === height && w === width) return { crop: (value: string) => value, restore: (value: string) => value }
  return {
    crop: (value: string) => b.op('Slice', [value, b.ints([0, 0]), b.ints([h, w]), b.ints([2, 3])]),
    restore: (value: string) => b.op('Pad', [value, b.ints([0, 0, 0, 0, 0, 0, height - h, width - w])]),
  }
}

const MaxPool: Operator = {
  shape,
  gradient(context) {
    const { node, shapes } = context
    const window = windowOf(node, shapes[0]!)
    return [isTiling(window, shapes[0]!) ? maxOfTiles(context, window) : maxByIndex(context)]
  },
}

/**
 * dX = [X is the maximum of its window] dY / count, the count splitting ties: flat image backgrounds tie everywhere.
 * Asking the forward MaxPool for indices instead makes it 14 times slower.
 */
function maxOfTiles(context: GradientContext, window: Window): string {
  const { node, b, grad } = context
  const { kernel } = window
  const { crop, restore } = cropping(context, window)
  const isMax = toFloat(b, b.op('Equal', [crop(node.inputs[0]!), spread(b, node.outputs[0]!, kernel)]))
  const share = b.op('Div', [grad, sumOfTiles(context, isMax, window)])
  return restore(b.op('Mul', [isMax, spread(b, share, kernel)]))
}

/** Windows of one row that are summed by one product, at most: keeps its matrix small where rows are long. */
const ROW_WINDOWS = 32

/**
 * The sum over each window of a tiling, as a product: a window's rows lie end to end, and a matrix of zeros and ones adds them up.
 * onnxruntime's AveragePool, which says the same, takes five times as long.
 */
function sumOfTiles({ b, shape }: GradientContext, value: string, { kernel, out }: Window): string {
  const [rows = 1, columns = 1] = kernel
  const windows = rows === 1 ? divisorOf(out[1]!, ROW_WINDOWS) : out[1]!
  const width = columns * windows
  const length = rows * width
  const isIn = (at: number, window: number) => Math.floor((at % width) / columns) === window
  const matrix = Array.from({ length: length * windows }, (_, i) => (isIn(Math.floor(i / windows), i % windows) ? 1 : 0))
  const sums = b.op('MatMul', [b.op('Reshape', [value, b.ints([-1, length])]), b.tensor(floatTensor(matrix, [length, windows]))])
  return b.op('Reshape', [sums, b.ints(shape)])
}

/** The largest divisor of `value` that is at most `limit`. */
function divisorOf(value: number, limit: number): number {
  let divisor = Math.min(value, limit)
  while (value % divisor !== 0) divisor--
  return divisor
}

/**
 * Windows that overlap or are padded: the first maximum of each takes its gradient. The indices come from a second MaxPool, since
 * evaluation would pay for those of the first one; masks of shifted slices, added up by Col2Im or Pad, are no faster.
 */
function maxByIndex({ node, b, grad, shapes }: GradientContext): string {
  const [, indices] = b.ops('MaxPool', node.inputs, 2, node.attributes)
  const flat = (value: string) => b.op('Reshape', [value, b.ints([-1])])
  const zeros = b.op('ConstantOfShape', [b.ints([sizeOf(shapes[0]!)])])
  const scattered = b.op('ScatterElements', [zeros, flat(indices!), flat(grad)], { reduction: { string: 'add' } })
  return b.op('Reshape', [scattered, b.ints(shapes[0]!)])
}

/** Every number of a window gets dY / count: the mean is one along each axis after the other, whose gradient is the transposed map. */
const AveragePool: Operator = {
  shape,
  gradient(context) {
    const { b, grad, shape, shapes } = context
    const sizes = shapes[0]!.slice(2)
    const window = windowOf(context.node, shapes[0]!)
    if (isTiling(window, shapes[0]!)) {
      const share = b.op('Div', [grad, b.scalar(sizeOf(window.kernel))])
      return [cropping(context, window).restore(spread(b, share, window.kernel))]
    }
    if (sizes.some((size, axis) => size * window.out[axis]! > MATRIX_SIZE)) return [meansOfLongAxes(context, window)]
    let value = grad
    let dims = shape
    for (const [axis, size] of sizes.entries()) {
      value = mapAxis(b, value, dims, axis + 2, transposeOf(means(context, window, axis, size)))
      dims = dims.with(axis + 2, size)
    }
    return [value]
  },
}

/** What each position takes the mean of, along an axis: padding counts only with count_include_pad, and what lies beyond it never. */
function counted({ node }: GradientContext, { kernel, strides, dilations, pads, out }: Window, axis: number, size: number) {
  const includePad = intAttribute(node, 'count_include_pad', 0) === 1
  const [before, behind] = includePad ? [pads[axis]!, pads[axis + kernel.length]!] : [0, 0]
  return Array.from({ length: out[axis]! }, (_, position) => {
    const start = position * strides[axis]! - pads[axis]!
    const places = Array.from({ length: kernel[axis]! }, (_, tap) => start + tap * dilations[axis]!)
    return places.filter((at) => at >= -before && at < size + behind)
  })
}

const means = (context: GradientContext, window: Window, axis: number, size: number): Matrix =>
  counted(context, window, axis, size).map((places) => {
    const row = Array<number>(size).fill(0)
    for (const at of places) if (at >= 0 && at < size) row[at] = 1 / places.length
    return row
  })

/** The same where a matrix would be too large: channel by channel, the transposed convolution of dY / count with ones. */
function meansOfLongAxes(context: GradientContext, window: Window): string {
  const { b, grad, shape, shapes } = context
  const { kernel, strides, dilations, pads, out } = window
  const [n, c, ...sizes] = shapes[0]!
  const share = sizes.reduce((value, size, axis) => {
    const counts = counted(context, window, axis, size).map((places) => places.length)
    return b.op('Div', [value, b.tensor(floatTensor(counts, [counts.length, ...out.slice(axis + 1).map(() => 1)]))])
  }, grad)
  const ones = b.tensor(floatTensor(new Float32Array(sizeOf(kernel)).fill(1), [1, 1, ...kernel]))
  const full = transposed(b, [b.op('Reshape', [share, b.ints([n! * c!, 1, ...shape.slice(2)])]), ones], {
    shape: [n! * c!, 1, ...out],
    weights: [1, 1, ...kernel],
    group: 1,
    strides,
    dilations,
    before: pads.slice(0, sizes.length),
    sizes,
  })
  return b.op('Reshape', [full, b.ints(shapes[0]!)])
}

export const pooling: Operators = { MaxPool, AveragePool }
