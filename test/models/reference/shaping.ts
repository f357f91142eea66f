// The reference's operators that move numbers, or make them from shapes and indices.
import { floatsOf, intsOf, type Node, type Tensor, TYPE } from '../../../models/graph.ts'
import {
  at,
  each,
  type Family,
  float,
  fromFront,
  int,
  ints,
  joined,
  list,
  make,
  map,
  reshaped,
  scalar,
  sizeOf,
  tensorAttribute,
  text,
  transpose,
  type Value,
  vector,
} from './values.ts'

export function toValue(tensor: Tensor): Value {
  const { type, dims } = tensor
  if (type === TYPE.float64) return { kind: 'float', dims, data: new Float64Array(tensor.data!.slice().buffer) }
  if (type === TYPE.float32) return { kind: 'float', dims, data: Float64Array.from(floatsOf(tensor)) }
  return { kind: type === TYPE.bool ? 'bool' : 'int', dims, data: Float64Array.from(intsOf(tensor)) }
}

/** `x` with the positions along each axis put through `from`, which yields the position to read there, or undefined for `filling`. */
function moved(x: Value, dims: readonly number[], from: (axis: number, position: number) => number | undefined, filling = 0): Value {
  return make(
    dims,
    (index) => {
      const source = index.map((position, axis) => from(axis, position))
      return source.every((position) => position !== undefined) ? at(x, source) : filling
    },
    x.kind,
  )
}

function slice([x, starts, ends, axes, steps]: readonly Value[]): Value {
  const dims = [...x!.dims]
  const begins = dims.map(() => 0)
  const strides = dims.map(() => 1)
  for (const [i, start] of list(starts!).entries()) {
    const axis = axes === undefined ? i : fromFront(axes.data[i]!, dims.length)
    const size = x!.dims[axis]!
    const step = steps?.data[i] ?? 1
    const clamp = (value: number, low: number, high: number) => Math.min(Math.max(fromFront(value, size), low), high)
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
    begins[axis] = clamp(start, 0, high)
    strides[axis] = step
    dims[axis] = Math.max(0, Math.ceil((clamp(ends!.data[i]!, low, high) - begins[axis]!) / step))
  }
  return moved(x!, dims, (axis, position) => begins[axis]! + position * strides[axis]!)
}

function split(node: Node, [x, given]: readonly Value[]): Value[] {
  const axis = fromFront(int(node, 'axis', 0), x!.dims.length)
  const size = x!.dims[axis]!
  const most = Math.ceil(size / node.outputs.length)
  const equal = node.outputs.map((_, i) => Math.min(most, size - i * most))
  let start = 0
  return (given === undefined ? equal : list(given)).map((length) => {
    const from = start
    start += length
    return moved(x!, x!.dims.with(axis, length), (along, position) => (along === axis ? position + from : position))
  })
}

function pad(node: Node, [x, given, filling, axes]: readonly Value[]): Value {
  const rank = x!.dims.length
  const mode = text(node, 'mode', 'constant')
  const [begin, end] = [x!.dims.map(() => 0), x!.dims.map(() => 0)]
  const padded = axes === undefined ? [...x!.dims.keys()] : list(axes).map((axis) => fromFront(axis, rank))
  for (const [i, axis] of padded.entries()) {
    begin[axis] = given!.data[i]!
    end[axis] = given!.data[i + padded.length]!
  }
  const dims = x!.dims.map((dim, axis) => dim + begin[axis]! + end[axis]!)
  const from = (axis: number, position: number) => {
    const size = x!.dims[axis]!
    const source = position - begin[axis]!
    if (source >= 0 && source < size) return source
    if (mode === 'edge') return source < 0 ? 0 : size - 1
    if (mode === 'reflect') return source < 0 ? -source : 2 * (size - 1) - source
    if (mode === 'wrap') return (source + size) % size
    return undefined
  }
  return moved(x!, dims, from, filling?.data[0] ?? 0)
}

function gather(x: Value, indices: Value, axis: number): Value {
  const rank = indices.dims.length
  return make(
    [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)],
    (index) => {
      const chosen = fromFront(at(indices, index.slice(axis, axis + rank)), x.dims[axis]!)
      return at(x, [...index.slice(0, axis), chosen, ...index.slice(axis + rank)])
    },
    x.kind,
  )
}

/** Rows of `indices` name slices of `x`, after `batch` axes that both have. */
function gatherNd(x: Value, indices: Value, batch: number): Value {
  const rank = indices.dims.length
  const depth = indices.dims.at(-1)!
  return make(
    [...indices.dims.slice(0, -1), ...x.dims.slice(batch + depth)],
    (index) => {
      const row = Array.from({ length: depth }, (_, i) => fromFront(at(indices, [...index.slice(0, rank - 1), i]), x.dims[batch + i]!))
      return at(x, [...index.slice(0, batch), ...row, ...index.slice(rank - 1)])
    },
    x.kind,
  )
}

/** `x` with numbers of `updates` put, or added, where `to` says for an index of them. */
function scatter(node: Node, x: Value, updates: Value, to: (index: readonly number[]) => readonly number[]): Value {
  const data = x.data.slice()
  const adds = text(node, 'reduction', 'none') === 'add'
  each(updates.dims, (index, flat) => {
    const place = to(index).reduce((sum, position, axis) => sum * x.dims[axis]! + fromFront(position, x.dims[axis]!), 0)
    data[place] = (adds ? data[place]! : 0) + updates.data[flat]!
  })
  return { kind: x.kind, dims: x.dims, data }
}

function constant(node: Node): Value {
  const tensor = tensorAttribute(node, 'value')
  if (tensor !== undefined) return toValue(tensor)
  const { value_ints, value_floats, value_int } = node.attributes
  if (value_ints !== undefined && 'ints' in value_ints) return vector(value_ints.ints)
  if (value_floats !== undefined && 'floats' in value_floats) return vector(value_floats.floats, 'float')
  return value_int === undefined ? scalar(float(node, 'value_float', 0)) : scalar(int(node, 'value_int', 0), 'int')
}

/** The axes that Squeeze and Unsqueeze name, of `rank` axes. */
const named = (node: Node, given: Value | undefined, rank: number): number[] =>
  (given === undefined ? ints(node, 'axes', []) : list(given)).map((axis) => fromFront(axis, rank))

export const shaping: Family = {
  Reshape([x, shape], node) {
    const asked = list(shape!).map((dim, i) => (dim === 0 && int(node, 'allowzero', 0) === 0 ? x!.dims[i]! : dim))
    const known = sizeOf(asked.filter((dim) => dim !== -1))
    return reshaped(
      x!,
      asked.map((dim) => (dim === -1 ? x!.data.length / known : dim)),
    )
  },
  Flatten([x], node) {
    const front = sizeOf(x!.dims.slice(0, fromFront(int(node, 'axis', 1), x!.dims.length)))
    return reshaped(x!, [front, x!.data.length / front])
  },
  Squeeze([x, given], node) {
    const axes = named(node, given, x!.dims.length)
    return reshaped(
      x!,
      x!.dims.filter((dim, axis) => (axes.length === 0 ? dim !== 1 : !axes.includes(axis))),
    )
  },
  Unsqueeze([x, given], node) {
    const rank = x!.dims.length + named(node, given, 0).length
    const axes = named(node, given, rank)
    const rest = [...x!.dims]
    return reshaped(
      x!,
      Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : rest.shift()!)),
    )
  },
  Transpose: ([x], node) => transpose(x!, ints(node, 'perm', [...x!.dims.keys()].reverse())),
  Concat(inputs, node) {
    const axis = fromFront(int(node, 'axis', 0), inputs[0]!.dims.length)
    const ends = inputs.map((_, i) => inputs.slice(0, i + 1).reduce((total, { dims }) => total + dims[axis]!, 0))
    return make(
      inputs[0]!.dims.with(axis, ends.at(-1)!),
      (index) => {
        const part = ends.findIndex((end) => index[axis]! < end)
        return at(inputs[part]!, index.with(axis, index[axis]! - (ends[part - 1] ?? 0)))
      },
      inputs[0]!.kind,
    )
  },
  Split: (inputs, node) => split(node, inputs),
  Slice: slice,
  Pad: (inputs, node) => pad(node, inputs),
  Gather: ([x, indices], node) => gather(x!, indices!, fromFront(int(node, 'axis', 0), x!.dims.length)),
  GatherElements([x, indices], node) {
    const axis = fromFront(int(node, 'axis', 0), x!.dims.length)
    return make(indices!.dims, (index) => at(x!, index.with(axis, fromFront(at(indices!, index), x!.dims[axis]!))), x!.kind)
  },
  GatherND: ([x, indices], node) => gatherNd(x!, indices!, int(node, 'batch_dims', 0)),
  ScatterElements([x, indices, updates], node) {
    const axis = fromFront(int(node, 'axis', 0), x!.dims.length)
    return scatter(node, x!, updates!, (index) => index.with(axis, at(indices!, index)))
  },
  ScatterND([x, indices, updates], node) {
    const [rank, depth] = [indices!.dims.length, indices!.dims.at(-1)!]
    const row = (index: readonly number[]) => Array.from({ length: depth }, (_, i) => at(indices!, [...index.slice(0, rank - 1), i]))
    return scatter(node, x!, updates!, (index) => [...row(index), ...index.slice(rank - 1)])
  },
  Expand: ([x, shape]) => make(joined(x!.dims, list(shape!)), (index) => at(x!, index), x!.kind),
  Tile: ([x, repeats]) =>
    moved(
      x!,
      x!.dims.map((dim, axis) => dim * repeats!.data[axis]!),
      (axis, position) => position % x!.dims[axis]!,
    ),
  Trilu([x, shift], node) {
    const [upper, k] = [int(node, 'upper', 1), shift?.data[0] ?? 0]
    const keep = ([row, column]: readonly number[]) => (upper ? column! - row! >= k : column! - row! <= k)
    return make(x!.dims, (index) => (keep(index.slice(-2)) ? at(x!, index) : 0), x!.kind)
  },
  DepthToSpace([x], node) {
    const [n, c, h, w] = x!.dims as [number, number, number, number]
    const block = int(node, 'blocksize', 1)
    const depth = c / block ** 2
    const columns = text(node, 'mode', 'DCR') === 'CRD'
    const apart = reshaped(x!, columns ? [n, depth, block, block, h, w] : [n, block, block, depth, h, w])
    return reshaped(transpose(apart, columns ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]), [n, depth, h * block, w * block])
  },
  SpaceToDepth([x], node) {
    const [n, c, h, w] = x!.dims as [number, number, number, number]
    const block = int(node, 'blocksize', 1)
    const apart = reshaped(x!, [n, c, h / block, block, w / block, block])
    return reshaped(transpose(apart, [0, 3, 5, 1, 2, 4]), [n, c * block ** 2, h / block, w / block])
  },
  Shape: ([x], node) => vector(x!.dims.slice(int(node, 'start', 0), int(node, 'end', x!.dims.length))),
  Size: ([x]) => scalar(x!.data.length, 'int'),
  Constant: (_, node) => constant(node),
  ConstantOfShape([shape], node) {
    const filling = tensorAttribute(node, 'value')
    const value = filling === undefined ? scalar(0) : toValue(filling)
    return make(list(shape!), () => value.data[0]!, value.kind)
  },
  Range([start, limit, delta]) {
    const [from, to, step] = [start!.data[0]!, limit!.data[0]!, delta!.data[0]!]
    return vector(
      Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step),
      start!.kind,
    )
  },
  OneHot([indices, depth, values], node) {
    const axis = fromFront(int(node, 'axis', -1), indices!.dims.length + 1)
    const classes = depth!.data[0]!
    const [off, on] = list(values!) as [number, number]
    const found = map(indices!, (index) => fromFront(index, classes))
    const dims = [...indices!.dims.slice(0, axis), classes, ...indices!.dims.slice(axis)]
    return make(dims, (index) => (at(found, index.toSpliced(axis, 1)) === index[axis] ? on : off), values!.kind)
  },
}
