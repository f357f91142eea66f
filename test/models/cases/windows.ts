// Gradient cases: convolutions, pools, resizing.
import fc from 'fast-check'
import { batched, type Case, still, whole } from './case.ts'

type Plain = Parameters<typeof whole>[0]

function conv(name: string, image: number[], to: number, kernel: number[], attributes: Plain, bias = true): Case {
  const perGroup = image[0]! / Number(attributes.group ?? 1)
  return batched(`Conv ${name}`, image, ({ b, weight }, x) =>
    b.op('Conv', [x, weight('w', [to, perGroup, ...kernel]), ...(bias ? [weight('bias', [to])] : [])], whole(attributes)),
  )
}

const convolutions = [
  ...[2, 9].flatMap((channels) => {
    const of = `of ${channels} channels`
    return [
      conv(`${of}, padded`, [channels, 5, 4], 3, [3, 3], { pads: [1, 1, 1, 1] }),
      conv(`${of}, unpadded, no bias`, [channels, 5, 4], 3, [3, 2], {}, false),
      conv(`${of}, strided with rows left over`, [channels, 6, 7], 2, [3, 3], { strides: [2, 2] }),
      conv(`${of}, dilated, padded unevenly`, [channels, 6, 6], 2, [2, 3], { dilations: [2, 2], pads: [0, 1, 1, 2], strides: [1, 2] }),
      conv(`${of}, SAME_UPPER`, [channels, 5, 5], 2, [2, 2], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
      conv(`${of}, SAME_LOWER`, [channels, 5, 6], 2, [2, 2], { auto_pad: 'SAME_LOWER', strides: [2, 1] }),
      conv(`${of}, VALID`, [channels, 5, 5], 2, [2, 2], { auto_pad: 'VALID', strides: [2, 2] }),
      conv(`${of}, 1x1`, [channels, 3, 3], 4, [1, 1], {}),
      conv(`${of}, 1x1 strided`, [channels, 5, 5], 4, [1, 1], { strides: [2, 2] }),
      conv(`${of}, a kernel of the image's size`, [channels, 3, 4], 3, [3, 4], {}),
      conv(`${of}, strides past the kernel`, [channels, 7, 7], 2, [2, 2], { strides: [3, 3] }),
    ]
  }),
  conv('in two groups', [4, 5, 5], 6, [3, 3], { group: 2, pads: [1, 1, 1, 1] }),
  conv('in two groups of many channels, strided', [16, 5, 5], 4, [3, 3], { group: 2, strides: [2, 2], pads: [1, 1, 1, 1] }),
  conv('depthwise', [4, 5, 5], 4, [3, 3], { group: 4, pads: [1, 1, 1, 1] }),
  conv('depthwise, strided and dilated, no bias', [3, 7, 6], 3, [2, 2], { group: 3, strides: [2, 1], dilations: [2, 1] }, false),
  conv('depthwise with two maps a channel', [3, 5, 5], 6, [3, 3], { group: 3, pads: [1, 1, 1, 1] }),
  conv('1-D', [3, 7], 4, [3], { pads: [1, 1] }),
  conv('1-D, strided, dilated, unevenly padded', [2, 9], 4, [3], { pads: [2, 0], strides: [2], dilations: [2] }),
  conv('1-D, many channels', [10, 6], 3, [3], { pads: [1, 1] }),
  conv('1-D, grouped', [4, 6], 4, [3], { group: 2 }),
  conv('1-D, depthwise', [4, 6], 4, [3], { group: 4, pads: [2, 0] }),
  conv('1-D, SAME_UPPER', [2, 6], 3, [3], { auto_pad: 'SAME_UPPER', strides: [2] }),
  conv('3-D', [2, 3, 4, 3], 2, [2, 2, 2], {}),
  conv('3-D, padded, strided', [2, 3, 4, 4], 3, [3, 2, 3], { pads: [1, 0, 1, 1, 1, 1], strides: [1, 2, 2] }),
  conv('3-D, many channels', [9, 3, 3, 3], 2, [2, 2, 2], { pads: [0, 0, 0, 1, 1, 1] }),
  conv('3-D, grouped', [4, 3, 3, 3], 4, [2, 2, 2], { group: 2 }),
  still('Conv of a weight by a weight, batch of two', ({ b, weight }) =>
    b.op('Conv', [weight('x', [2, 2, 4, 4]), weight('w', [2, 2, 3, 3])]),
  ),
]

function transposed(name: string, image: number[], to: number, kernel: number[], attributes: Plain, bias = true): Case {
  const maps = to * Number(attributes.group ?? 1)
  return batched(`ConvTranspose ${name}`, image, ({ b, weight }, x) =>
    b.op('ConvTranspose', [x, weight('w', [image[0]!, to, ...kernel]), ...(bias ? [weight('bias', [maps])] : [])], whole(attributes)),
  )
}

const transposedConvolutions = [
  transposed('plain', [2, 3, 4], 3, [3, 2], {}),
  transposed('no bias', [2, 3, 4], 3, [3, 3], {}, false),
  transposed('that doubles', [3, 3, 3], 2, [2, 2], { strides: [2, 2] }),
  transposed('that doubles, of many channels', [9, 3, 3], 2, [4, 4], { strides: [2, 2], pads: [1, 1, 1, 1] }),
  transposed('with output_padding', [2, 3, 3], 2, [3, 3], { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }),
  transposed('with uneven pads', [2, 4, 4], 2, [3, 3], { strides: [2, 1], pads: [0, 1, 2, 0] }),
  transposed('dilated', [2, 3, 3], 2, [2, 3], { dilations: [2, 2], strides: [1, 2] }),
  transposed('strides past the kernel', [2, 3, 3], 2, [2, 2], { strides: [3, 3] }),
  transposed('strides past the kernel, output_padding', [2, 3, 3], 2, [1, 1], { strides: [3, 2], output_padding: [2, 1] }),
  transposed('with output_shape', [2, 3, 3], 2, [3, 3], { strides: [2, 2], output_shape: [6, 5] }),
  transposed('with output_shape, SAME_UPPER', [2, 3, 3], 2, [3, 3], { strides: [2, 2], output_shape: [6, 6], auto_pad: 'SAME_UPPER' }),
  transposed('with SAME_UPPER', [2, 3, 3], 2, [3, 3], { strides: [2, 2], auto_pad: 'SAME_UPPER' }),
  transposed('with SAME_LOWER', [2, 3, 3], 2, [3, 3], { strides: [2, 2], auto_pad: 'SAME_LOWER' }),
  transposed('in groups', [4, 3, 3], 3, [3, 3], { group: 2, strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 0] }),
  transposed('depthwise', [3, 3, 3], 1, [2, 2], { group: 3, strides: [2, 2] }),
  transposed('1-D', [3, 5], 2, [3], { strides: [2], pads: [1, 1], output_padding: [1] }),
  transposed('3-D', [2, 2, 3, 2], 2, [2, 2, 2], { strides: [2, 1, 2] }),
]

function pools(name: string, image: number[], attributes: Plain): Case[] {
  return ['MaxPool', 'AveragePool'].map((kind) => batched(`${kind} ${name}`, image, ({ b }, x) => b.op(kind, [x], whole(attributes))))
}

const pooling = [
  ...pools('2x2', [2, 4, 6], { kernel_shape: [2, 2], strides: [2, 2] }),
  ...pools('3x2 with rows left over', [2, 7, 5], { kernel_shape: [3, 2], strides: [3, 2] }),
  ...pools('overlapping', [2, 5, 5], { kernel_shape: [3, 3], strides: [2, 2] }),
  ...pools('overlapping and padded', [2, 5, 5], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  ...pools('without strides', [2, 4, 4], { kernel_shape: [2, 3] }),
  ...pools('with strides past the kernel', [2, 7, 7], { kernel_shape: [2, 2], strides: [3, 3] }),
  ...pools('padded unevenly', [2, 4, 5], { kernel_shape: [3, 2], strides: [1, 2], pads: [0, 1, 2, 0] }),
  ...pools('with ceil_mode', [2, 5, 6], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }),
  ...pools('with ceil_mode, overlapping and padded', [2, 6, 6], {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    ceil_mode: 1,
  }),
  ...pools('with ceil_mode whose last window would begin in the padding', [1, 3, 3], {
    kernel_shape: [2, 2],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    ceil_mode: 1,
  }),
  ...pools('with SAME_UPPER', [2, 5, 4], { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' }),
  ...pools('with SAME_LOWER', [2, 5, 4], { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'SAME_LOWER' }),
  ...pools('with VALID', [2, 5, 4], { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'VALID' }),
  ...pools('dilated', [2, 6, 6], { kernel_shape: [2, 2], strides: [2, 2], dilations: [2, 3] }),
  ...pools('1-D', [3, 6], { kernel_shape: [2], strides: [2] }),
  ...pools('1-D, overlapping and padded', [3, 7], { kernel_shape: [3], strides: [2], pads: [1, 1] }),
  ...pools('3-D', [2, 2, 4, 4], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] }),
  ...pools('3-D, overlapping and padded', [1, 3, 4, 4], { kernel_shape: [2, 3, 3], strides: [1, 2, 2], pads: [1, 1, 1, 0, 1, 1] }),
  ...[0, 1].map((ceil_mode) =>
    batched(`AveragePool that counts its padding, ceil_mode ${ceil_mode}`, [2, 6, 6], ({ b }, x) =>
      b.op('AveragePool', [x], whole({ kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1, ceil_mode })),
    ),
  ),
  ...['GlobalAveragePool', 'GlobalMaxPool'].flatMap((name) => [
    batched(name, [3, 4, 2], ({ b }, x) => b.op(name, [x])),
    batched(`${name} 1-D`, [3, 4], ({ b }, x) => b.op(name, [x])),
    batched(`${name} 3-D`, [2, 2, 3, 2], ({ b }, x) => b.op(name, [x])),
  ]),
  batched('Relu before MaxPool', [2, 4, 4], ({ b }, x) =>
    b.op('MaxPool', [b.op('Relu', [x])], whole({ kernel_shape: [2, 2], strides: [2, 2] })),
  ),
]

/** To `sizes`, or by `scales`, of the spatial axes. */
function resized(image: number[], to: { scales: number[] } | { sizes: number[] }, attributes: Plain): Case {
  return batched(`Resize of [${image}] ${JSON.stringify(to)} ${JSON.stringify(attributes)}`, image, ({ b }, x) => {
    if ('scales' in to) {
      return b.op('Resize', [x, '', b.op('Constant', [], { value_floats: { floats: [1, 1, ...to.scales] } })], whole(attributes))
    }
    // The batch, which a model does not know, comes out of the value's shape, as exporters write it.
    const batch = b.op('Shape', [x], whole({ start: 0, end: 1 }))
    const sizes = b.op('Concat', [batch, b.ints([image[0]!, ...to.sizes])], whole({ axis: 0 }))
    return b.op('Resize', [x, '', '', sizes], whole(attributes))
  })
}

/** As PyTorch exports torch.nn.functional.interpolate. */
const nearest = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }
const linear = { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' }

const resizing = [
  resized([2, 3, 2], { scales: [2, 2] }, nearest),
  resized([2, 3, 2], { sizes: [6, 6] }, nearest),
  resized([2, 3, 4], { sizes: [5, 7] }, nearest),
  resized([2, 5, 4], { sizes: [2, 3] }, nearest),
  resized([2, 3], { scales: [3] }, nearest),
  resized([1, 2, 2, 3], { scales: [2, 1, 2] }, nearest),
  resized([2, 3, 2], { scales: [2, 3] }, { mode: 'nearest' }),
  resized([2, 3, 2], { scales: [2, 2] }, linear),
  resized([2, 3, 4], { sizes: [5, 7] }, { ...linear, coordinate_transformation_mode: 'align_corners' }),
  resized([2, 5, 4], { scales: [0.6, 0.5] }, { ...linear, coordinate_transformation_mode: 'half_pixel' }),
  resized([1, 4, 5], { sizes: [7, 6] }, { mode: 'cubic', coordinate_transformation_mode: 'half_pixel' }),
]

const block = [
  ...['DCR', 'CRD'].map((mode) =>
    batched(`DepthToSpace ${mode}`, [8, 2, 3], ({ b }, x) => b.op('DepthToSpace', [x], whole({ blocksize: 2, mode }))),
  ),
  batched('SpaceToDepth', [2, 4, 6], ({ b }, x) => b.op('SpaceToDepth', [x], whole({ blocksize: 2 }))),
]

export const CONVOLUTIONS: Case[] = [...convolutions, ...transposedConvolutions]
export const POOLS: Case[] = [...pooling, ...resizing, ...block]

interface Axis {
  size: number
  kernel: number
  stride: number
  dilation: number
  begin: number
  end: number
  extra: number
}
/** One spatial axis on which at least one window fits; padding is smaller than the kernel, as onnxruntime asks. */
const axis: fc.Arbitrary<Axis> = fc
  .record({
    size: fc.integer({ min: 1, max: 7 }),
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    begin: fc.nat(2),
    end: fc.nat(2),
    extra: fc.nat(2),
  })
  .filter(({ size, kernel, dilation, begin, end }) => begin < kernel && end < kernel && size >= dilation * (kernel - 1) + 1)

const axes = fc.integer({ min: 1, max: 3 }).chain((rank) => fc.array(axis, { minLength: rank, maxLength: rank }))

const windowOf = (list: Axis[]) => ({
  strides: list.map(({ stride }) => stride),
  dilations: list.map(({ dilation }) => dilation),
  pads: [...list.map(({ begin }) => begin), ...list.map(({ end }) => end)],
})
const sizesOf = (list: Axis[]) => list.map(({ size }) => size)
const kernelOf = (list: Axis[]) => list.map(({ kernel }) => kernel)

const grouping = fc.record({
  group: fc.integer({ min: 1, max: 3 }),
  from: fc.constantFrom(1, 2, 8),
  to: fc.integer({ min: 1, max: 2 }),
  bias: fc.boolean(),
})

export const anyConv: fc.Arbitrary<Case> = fc.record({ axes, grouping }).map(({ axes, grouping: { group, from, to, bias } }) => {
  const attributes = { group, ...windowOf(axes) }
  const name = `[${sizesOf(axes)}], kernel [${kernelOf(axes)}], ${from} to ${to} channels a group, bias ${bias}, ${JSON.stringify(attributes)}`
  return conv(name, [from * group, ...sizesOf(axes)], to * group, kernelOf(axes), attributes, bias)
})

export const anyConvTranspose: fc.Arbitrary<Case> = fc
  .record({
    // What is padded away must leave something, and output_padding must be smaller than the stride.
    axes: axes.filter((list) =>
      list.every(
        ({ size, kernel, stride, dilation, begin, end, extra }) =>
          extra < stride && stride * (size - 1) + extra + (kernel - 1) * dilation + 1 - begin - end > 0,
      ),
    ),
    grouping,
  })
  .map(({ axes, grouping: { group, from, to, bias } }) => {
    const attributes = { group, ...windowOf(axes), output_padding: axes.map(({ extra }) => extra) }
    const name = `[${sizesOf(axes)}], kernel [${kernelOf(axes)}], ${from} to ${to} channels a group, bias ${bias}, ${JSON.stringify(attributes)}`
    return transposed(name, [from * group, ...sizesOf(axes)], to, kernelOf(axes), attributes, bias)
  })

export const anyPool: fc.Arbitrary<Case> = fc
  .record({ axes, kind: fc.constantFrom('MaxPool', 'AveragePool'), ceil_mode: fc.nat(1), count_include_pad: fc.nat(1) })
  .map(({ axes, kind, ceil_mode, count_include_pad }) => {
    const attributes = { kernel_shape: kernelOf(axes), ...windowOf(axes), ceil_mode, ...(kind === 'AveragePool' && { count_include_pad }) }
    return batched(`${kind} of [${sizesOf(axes)}] with ${JSON.stringify(attributes)}`, [2, ...sizesOf(axes)], ({ b }, x) =>
      b.op(kind, [x], whole(attributes)),
    )
  })

export const anyResize: fc.Arbitrary<Case> = fc
  .record({
    axes: fc.array(fc.record({ from: fc.integer({ min: 1, max: 5 }), to: fc.integer({ min: 1, max: 8 }) }), { minLength: 2, maxLength: 2 }),
    mode: fc.constantFrom('nearest', 'linear', 'cubic'),
    coordinate_transformation_mode: fc.constantFrom('asymmetric', 'half_pixel', 'pytorch_half_pixel', 'align_corners'),
    nearest_mode: fc.constantFrom('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'),
  })
  .map(({ axes, nearest_mode, ...attributes }) =>
    resized(
      [1, ...axes.map(({ from }) => from)],
      { sizes: axes.map(({ to }) => to) },
      { ...attributes, ...(attributes.mode === 'nearest' && { nearest_mode }) },
    ),
  )
