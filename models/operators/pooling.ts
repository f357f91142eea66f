// Pooling over images.
import type { Builder } from '../builder.ts'
import { floatTensor, intAttribute } from '../graph.ts'
import { toFloat } from './elementwise.ts'
import type { GradientContext, Operator, Operators, Shape } from './types.ts'
import { type Window, windowOf } from './window.ts'

const shape: Operator['shape'] = ({ node, shapes }) => [...shapes[0]!.slice(0, 2), ...windowOf(node, shapes[0]!).out]

/** Windows that lie side by side, each input in at most one. */
const isTiling = ({ kernel, strides, dilations, pads, out }: Window, [, , height = 0, width = 0]: Shape): boolean =>
  kernel[0] === strides[0] &&
  kernel[1] === strides[1] &&
  dilations.every((dilation) => dilation === 1) &&
  pads.every((pad) => pad === 0) &&
  out[0] * kernel[0] <= height &&
  out[1] * kernel[1] <= width

/** Each number repeated over its window of a tiling. */
const spread = (b: Builder, value: string, [height, width]: readonly [number, number]): string =>
  b.op('Resize', [value, '', b.tensor(floatTensor([1, 1, height, width], [4]))], {
    mode: { string: 'nearest' },
    coordinate_transformation_mode: { string: 'asymmetric' },
    nearest_mode: { string: 'floor' },
  })

/** Cuts the rows and columns off that no window of a tiling reached, and puts zeros there again. */
function cropping({ b, shapes }: GradientContext, { kernel, out }: Window) {
  const [, , height = 0, width = 0] = shapes[0]!
  const [h, w] = [kernel[0] * out[0], kernel[1] * out[1]]
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

/**
 * The sum over each window of a tiling, as a product: a window's rows lie end to end, and a matrix of zeros and ones adds them up.
 * onnxruntime's AveragePool, which says the same, takes five times as long.
 */
function sumOfTiles({ b, shape }: GradientContext, value: string, { kernel, out }: Window): string {
  const width = kernel[1] * out[1]
  const length = kernel[0] * width
  const isIn = (at: number, window: number) => Math.floor((at % width) / kernel[1]) === window
  const matrix = Array.from({ length: length * out[1] }, (_, i) => (isIn(Math.floor(i / out[1]), i % out[1]) ? 1 : 0))
  const sums = b.op('MatMul', [b.op('Reshape', [value, b.ints([-1, length])]), b.tensor(floatTensor(matrix, [length, out[1]]))])
  return b.op('Reshape', [sums, b.ints(shape)])
}

/** Windows that overlap or are padded: the first maximum of each window takes its gradient. */
function maxByIndex({ node, b, grad, shapes }: GradientContext): string {
  const [, indices] = b.ops('MaxPool', node.inputs, 2, node.attributes)
  const flat = (value: string) => b.op('Reshape', [value, b.ints([-1])])
  const zeros = b.op('ConstantOfShape', [b.ints([shapes[0]!.reduce((product, dim) => product * dim, 1)])])
  const scattered = b.op('ScatterElements', [zeros, flat(indices!), flat(grad)], { reduction: { string: 'add' } })
  return b.op('Reshape', [scattered, b.ints(shapes[0]!)])
}

/** dX: every number of a window gets dY / count. */
const AveragePool: Operator = {
  shape,
  gradient(context) {
    const { node, b, grad, shapes } = context
    const window = windowOf(node, shapes[0]!)
    const { kernel, strides, dilations, pads, out } = window
    if (isTiling(window, shapes[0]!)) {
      const share = b.op('Div', [grad, b.scalar(kernel[0] * kernel[1])])
      return [cropping(context, window).restore(spread(b, share, kernel))]
    }
    const [n, c, height, width] = shapes[0]! as [number, number, number, number]
    const share = b.op('Mul', [grad, b.tensor(inverseCounts(context, window))])
    // One channel at a time: the transposed convolution of dY with ones. The padding that no window reached is cut off by hand,
    // since ceil_mode may end the last window beyond it.
    const spans = [0, 1].map((axis) => (out[axis]! - 1) * strides[axis]! + (kernel[axis]! - 1) * dilations[axis]! + 1)
    const full = b.op(
      'ConvTranspose',
      [
        b.op('Reshape', [share, b.ints([n * c, 1, ...out])]),
        b.tensor(floatTensor(new Float32Array(kernel[0] * kernel[1]).fill(1), [1, 1, ...kernel])),
      ],
      { kernel_shape: { ints: kernel }, strides: { ints: strides }, dilations: { ints: dilations } },
    )
    const sizes = [height, width]
    const behind = sizes.map((size, axis) => size + pads[axis]! - spans[axis]!)
    // Pad with negative counts crops.
    const cut = b.op('Pad', [full, b.ints([0, 0, -pads[0], -pads[1], 0, 0, ...behind])])
    return [b.op('Reshape', [cut, b.ints(shapes[0]!)])]
  },
}

/** One over the number of values each window averages: padding counts only with count_include_pad, and never beyond it. */
function inverseCounts({ node, shapes }: GradientContext, { kernel, strides, dilations, pads, out }: Window) {
  const includePad = intAttribute(node, 'count_include_pad', 0) === 1
  const along = (axis: 0 | 1) => {
    const size = shapes[0]![axis + 2]!
    const [first, end] = includePad ? [-pads[axis], size + pads[axis + 2]!] : [0, size]
    return Array.from({ length: out[axis] }, (_, position) => {
      const taps = Array.from({ length: kernel[axis] }, (_, tap) => position * strides[axis] - pads[axis] + tap * dilations[axis])
      return taps.filter((at) => at >= first && at < end).length
    })
  }
  const [rows, columns] = [along(0), along(1)]
  const values = rows.flatMap((row) => columns.map((column) => 1 / Math.max(1, row * column)))
  return floatTensor(values, [1, 1, ...out])
}

export const pooling: Operators = { MaxPool, AveragePool }
