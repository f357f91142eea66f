// The reference's convolutions and pools, of any number of spatial axes.

import type { Node } from '../../../models/graph.ts'
import { each, type Family, int, ints, mean, reduce, sizeOf, text, type Value } from './values.ts'

interface Windows {
  /** Sizes of the result's spatial axes. */
  out: number[]
  /** For each output position its taps that lie inside the input: [tap, input position], flat, and how many fell on padding. */
  taps: { inside: [number, number][]; padded: number }[]
}

/** Padding at the begin of each axis, then at the end of each, from `pads` or as `auto_pad` says. */
function padding(node: Node, sizes: readonly number[], reach: readonly number[], strides: readonly number[]): readonly number[] {
  const auto = text(node, 'auto_pad', 'NOTSET')
  const none = [...sizes, ...sizes].map(() => 0)
  if (auto === 'NOTSET') return ints(node, 'pads', none)
  if (auto === 'VALID') return none
  // As many positions as strides begin in the input; the odd row of padding goes where the name says.
  const total = sizes.map((size, axis) => Math.max(0, (Math.ceil(size / strides[axis]!) - 1) * strides[axis]! + reach[axis]! - size))
  const [less, more] = [total.map((pad) => Math.floor(pad / 2)), total.map((pad) => Math.ceil(pad / 2))]
  return auto === 'SAME_UPPER' ? [...less, ...more] : [...more, ...less]
}

function windows(node: Node, sizes: readonly number[], kernel: readonly number[]): Windows {
  const ones = sizes.map(() => 1)
  const [strides, dilations] = [ints(node, 'strides', ones), ints(node, 'dilations', ones)]
  const reach = kernel.map((size, axis) => (size - 1) * dilations[axis]! + 1)
  const pads = padding(node, sizes, reach, strides)
  const [begin, end] = [pads.slice(0, sizes.length), pads.slice(sizes.length)]
  const ceil = int(node, 'ceil_mode', 0) === 1
  const out = sizes.map((size, axis) => {
    const room = size + begin[axis]! + end[axis]! - reach[axis]!
    const positions = (ceil ? Math.ceil(room / strides[axis]!) : Math.floor(room / strides[axis]!)) + 1
    // A window that ceil_mode adds must begin in the input or the padding before it.
    return ceil && (positions - 1) * strides[axis]! >= size + begin[axis]! ? positions - 1 : positions
  })
  const taps: Windows['taps'] = []
  each(out, (position) => {
    const inside: [number, number][] = []
    let padded = 0
    each(kernel, (tap, flatTap) => {
      const input = sizes.map((_, axis) => position[axis]! * strides[axis]! - begin[axis]! + tap[axis]! * dilations[axis]!)
      if (input.every((i, axis) => i >= 0 && i < sizes[axis]!)) {
        inside.push([flatTap, input.reduce((flat, i, axis) => flat * sizes[axis]! + i, 0)])
      } else if (input.every((i, axis) => i < sizes[axis]! + end[axis]!)) padded++
    })
    taps.push({ inside, padded })
  })
  return { out, taps }
}

function pool(node: Node, x: Value, combine: (values: number[], padded: number) => number): Value {
  const sizes = x.dims.slice(2)
  const { out, taps } = windows(node, sizes, ints(node, 'kernel_shape', []))
  const planes = x.dims[0]! * x.dims[1]!
  const plane = sizeOf(sizes)
  const data = new Float64Array(planes * taps.length)
  for (let p = 0; p < planes; p++) {
    for (const [i, { inside, padded }] of taps.entries()) {
      data[p * taps.length + i] = combine(
        inside.map(([, from]) => x.data[p * plane + from]!),
        padded,
      )
    }
  }
  return { kind: x.kind, dims: [...x.dims.slice(0, 2), ...out], data }
}

function conv(node: Node, x: Value, w: Value, bias: Value | undefined): Value {
  const { out, taps } = windows(node, x.dims.slice(2), w.dims.slice(2))
  const [batch, channels] = x.dims as [number, number]
  const [maps, perGroup] = w.dims as [number, number]
  const mapsPerGroup = maps / int(node, 'group', 1)
  const [plane, kernel] = [sizeOf(x.dims.slice(2)), sizeOf(w.dims.slice(2))]
  const data = new Float64Array(batch * maps * taps.length)
  let to = 0
  for (let n = 0; n < batch; n++) {
    for (let m = 0; m < maps; m++) {
      const first = n * channels + Math.floor(m / mapsPerGroup) * perGroup
      for (const { inside } of taps) {
        let total = bias === undefined ? 0 : bias.data[m]!
        for (let channel = 0; channel < perGroup; channel++) {
          const [xAt, wAt] = [(first + channel) * plane, (m * perGroup + channel) * kernel]
          for (const [tap, from] of inside) total += x.data[xAt + from]! * w.data[wAt + tap]!
        }
        data[to++] = total
      }
    }
  }
  return { kind: x.kind, dims: [batch, maps, ...out], data }
}

/** Every input number, times the kernel, is added to the output where its window lies. */
function convTranspose(node: Node, x: Value, w: Value, bias: Value | undefined): Value {
  const [sizes, kernel] = [x.dims.slice(2), w.dims.slice(2)]
  const ones = sizes.map(() => 1)
  const none = sizes.map(() => 0)
  const [strides, dilations] = [ints(node, 'strides', ones), ints(node, 'dilations', ones)]
  const extra = ints(node, 'output_padding', none)
  const full = sizes.map((size, axis) => strides[axis]! * (size - 1) + extra[axis]! + (kernel[axis]! - 1) * dilations[axis]! + 1)
  const auto = text(node, 'auto_pad', 'NOTSET')
  const same = auto.startsWith('SAME') ? sizes.map((size, axis) => size * strides[axis]!) : []
  const asked = ints(node, 'output_shape', same)
  let begin = ints(node, 'pads', [...none, ...none]).slice(0, sizes.length)
  let out = full.map((size, axis) => size - begin[axis]! - (ints(node, 'pads', [...none, ...none])[axis + sizes.length] ?? 0))
  if (asked.length > 0) {
    out = [...asked]
    begin = full.map((size, axis) => {
      const total = size - asked[axis]!
      return auto === 'SAME_UPPER' ? Math.floor(total / 2) : total - Math.floor(total / 2)
    })
  }
  const [batch, channels] = x.dims as [number, number]
  const groups = int(node, 'group', 1)
  const perGroup = w.dims[1]!
  const maps = perGroup * groups
  const [plane, outPlane, taps] = [sizeOf(sizes), sizeOf(out), sizeOf(kernel)]
  const data = new Float64Array(batch * maps * outPlane)
  if (bias !== undefined) for (let i = 0; i < data.length; i++) data[i] = bias.data[Math.floor(i / outPlane) % maps]!
  each(sizes, (position, from) => {
    each(kernel, (tap, flatTap) => {
      const target = position.map((i, axis) => i * strides[axis]! + tap[axis]! * dilations[axis]! - begin[axis]!)
      if (target.some((i, axis) => i < 0 || i >= out[axis]!)) return
      const to = target.reduce((flat, i, axis) => flat * out[axis]! + i, 0)
      for (let n = 0; n < batch; n++) {
        for (let c = 0; c < channels; c++) {
          const value = x.data[(n * channels + c) * plane + from]!
          const group = Math.floor(c / (channels / groups))
          for (let m = 0; m < perGroup; m++) {
            const at = (n * maps + group * perGroup + m) * outPlane + to
            data[at] = data[at]! + value * w.data[(c * perGroup + m) * taps + flatTap]!
          }
        }
      }
    })
  })
  return { kind: x.kind, dims: [batch, maps, ...out], data }
}

const global =
  (combine: (values: readonly number[]) => number) =>
  ([x]: readonly Value[]) =>
    reduce(x!, [...x!.dims.keys()].slice(2), true, combine)

export const windowed: Family = {
  Conv: ([x, w, bias], node) => conv(node, x!, w!, bias),
  ConvTranspose: ([x, w, bias], node) => convTranspose(node, x!, w!, bias),
  MaxPool: ([x], node) => pool(node, x!, (values) => Math.max(...values)),
  AveragePool: ([x], node) =>
    pool(node, x!, (values, padded) => {
      const count = values.length + (int(node, 'count_include_pad', 0) ? padded : 0)
      return values.reduce((total, value) => total + value, 0) / count
    }),
  GlobalAveragePool: global(mean),
  GlobalMaxPool: global((values) => Math.max(...values)),
}
