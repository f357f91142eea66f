// The reference's Resize: each axis by itself reads a few input positions with weights, at a coordinate that the node defines.
import type { Node } from '../../../models/graph.ts'
import { at, type Family, float, fromFront, int, ints, make, text, type Value } from './values.ts'

/** An input position of one axis and its weight. */
type Tap = readonly [position: number, weight: number]
/** One axis: its input and output size, and the scale from one to the other. */
interface Axis {
  size: number
  out: number
  scale: number
}

const COORDINATES: Readonly<Record<string, (position: number, axis: Axis) => number>> = {
  asymmetric: (position, { scale }) => position / scale,
  half_pixel: (position, { scale }) => (position + 0.5) / scale - 0.5,
  pytorch_half_pixel: (position, { scale, out }) => (out > 1 ? (position + 0.5) / scale - 0.5 : 0),
  align_corners: (position, { size, out }) => (out === 1 ? 0 : (position * (size - 1)) / (out - 1)),
}

const NEAREST: Readonly<Record<string, (coordinate: number) => number>> = {
  round_prefer_floor: (coordinate) => Math.ceil(coordinate - 0.5),
  round_prefer_ceil: (coordinate) => Math.floor(coordinate + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
}

/** Keys 1981, "Cubic convolution interpolation for digital image processing": the weight at a distance. */
function cubicWeight(distance: number, a: number): number {
  const d = Math.abs(distance)
  if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1
  return d < 2 ? a * (d ** 3 - 5 * d ** 2 + 8 * d - 4) : 0
}

function tapsOf(node: Node, axis: Axis, position: number): Tap[] {
  const coordinate = COORDINATES[text(node, 'coordinate_transformation_mode', 'half_pixel')]!(position, axis)
  const floor = Math.floor(coordinate)
  const mode = text(node, 'mode', 'nearest')
  const taps = ((): Tap[] => {
    if (mode === 'nearest') return [[NEAREST[text(node, 'nearest_mode', 'round_prefer_floor')]!(coordinate), 1]]
    if (mode === 'linear') {
      return [
        [floor, floor + 1 - coordinate],
        [floor + 1, coordinate - floor],
      ]
    }
    const a = float(node, 'cubic_coeff_a', -0.75)
    return [-1, 0, 1, 2].map((offset) => [floor + offset, cubicWeight(coordinate - floor - offset, a)])
  })()
  const inside = int(node, 'exclude_outside', 0) === 0 ? taps : taps.filter(([tap]) => tap >= 0 && tap < axis.size)
  const total = inside.reduce((sum, [, weight]) => sum + weight, 0)
  // What lies outside reads the edge.
  return inside.map(([tap, weight]) => [Math.min(Math.max(tap, 0), axis.size - 1), weight / total])
}

function resize(node: Node, [x, , scales, sizes]: readonly Value[]): Value {
  const axes: Axis[] = x!.dims.map((size) => ({ size, out: size, scale: 1 }))
  for (const [i, name] of ints(node, 'axes', [...x!.dims.keys()]).entries()) {
    const axis = axes[fromFront(name, axes.length)]!
    axis.scale = sizes === undefined ? scales!.data[i]! : sizes.data[i]! / axis.size
    axis.out = sizes === undefined ? Math.floor(axis.size * axis.scale) : sizes.data[i]!
  }
  const taps = axes.map((axis) =>
    Array.from({ length: axis.out }, (_, position): Tap[] => (axis.scale === 1 ? [[position, 1]] : tapsOf(node, axis, position))),
  )
  const dims = axes.map(({ out }) => out)
  const read = (index: readonly number[], source: readonly number[]): number => {
    if (source.length === dims.length) return at(x!, source)
    return taps[source.length]![index[source.length]!]!.reduce((sum, [tap, weight]) => sum + weight * read(index, [...source, tap]), 0)
  }
  return make(dims, (index) => read(index, []), x!.kind)
}

export const resizing: Family = { Resize: (inputs, node) => resize(node, inputs) }
