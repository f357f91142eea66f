// Tensors of the reference interpreter, how it walks and broadcasts them, and how it reads a node's attributes.
import type { Node, Tensor } from '../../../models/graph.ts'

/** Integers and bools are whole numbers too; their kind tells how they divide. */
export interface Value {
  kind: 'float' | 'int' | 'bool'
  dims: readonly number[]
  data: Float64Array
}

/** The outputs of a node from its inputs; an input that was left out is undefined. */
export type Evaluate = (inputs: readonly Value[], node: Node) => Value | readonly Value[]
export type Family = Readonly<Record<string, Evaluate>>

export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1)

/** Calls `visit` with each index of `dims`, in row-major order; the array is the same one each time. */
export function each(dims: readonly number[], visit: (index: number[], flat: number) => void): void {
  const index = dims.map(() => 0)
  const size = sizeOf(dims)
  for (let flat = 0; flat < size; flat++) {
    visit(index, flat)
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      index[axis]!++
      if (index[axis]! < dims[axis]!) break
      index[axis] = 0
    }
  }
}

/** The element of `value` at an index of a shape that it broadcasts to. */
export function at({ dims, data }: Value, index: readonly number[]): number {
  const lead = index.length - dims.length
  let flat = 0
  for (let axis = 0; axis < dims.length; axis++) flat = flat * dims[axis]! + (dims[axis] === 1 ? 0 : index[axis + lead]!)
  return data[flat]!
}

export function make(dims: readonly number[], value: (index: readonly number[]) => number, kind: Value['kind'] = 'float'): Value {
  const data = new Float64Array(sizeOf(dims))
  each(dims, (index, flat) => {
    data[flat] = value(index)
  })
  return { kind, dims, data }
}

export const map = ({ kind, dims, data }: Value, f: (value: number) => number): Value => ({ kind, dims, data: data.map(f) })

export const reshaped = ({ kind, data }: Value, dims: readonly number[]): Value => ({ kind, dims, data })

export const scalar = (value: number, kind: Value['kind'] = 'float'): Value => ({ kind, dims: [], data: Float64Array.of(value) })

export const vector = (values: readonly number[], kind: Value['kind'] = 'int'): Value => ({
  kind,
  dims: [values.length],
  data: Float64Array.from(values),
})

/** The shape that both broadcast to. */
export const joined = (a: readonly number[], b: readonly number[]): number[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => {
    const [x, y] = [a.at(-1 - i) ?? 1, b.at(-1 - i) ?? 1]
    if (x !== y && x !== 1 && y !== 1) throw new Error(`[${a}] and [${b}] do not broadcast`)
    return x === 1 ? y : x
  }).reverse()

/** The elements one by one, broadcast; the result is of the first one's kind. */
export const zip = (a: Value, b: Value, f: (a: number, b: number) => number, kind: Value['kind'] = a.kind): Value =>
  make(joined(a.dims, b.dims), (index) => f(at(a, index), at(b, index)), kind)

/** Negative axes count from the end. */
export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

export const transpose = (x: Value, perm: readonly number[]): Value => {
  const from = x.dims.map((_, axis) => perm.indexOf(axis))
  return make(
    perm.map((axis) => x.dims[axis]!),
    (index) =>
      at(
        x,
        from.map((axis) => index[axis]!),
      ),
    x.kind,
  )
}

/** The numbers of each group that differ along `axes` only, put through `f`; the axes stay with size 1 where `keep` says so. */
export function reduce(x: Value, axes: readonly number[], keep: boolean, f: (values: readonly number[]) => number): Value {
  const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
  const groups = Array.from({ length: sizeOf(kept) }, (): number[] => [])
  each(x.dims, (index, flat) => {
    const to = kept.reduce((sum, dim, axis) => sum * dim + (dim === 1 ? 0 : index[axis]!), 0)
    groups[to]!.push(x.data[flat]!)
  })
  const dims = keep ? kept : x.dims.filter((_, axis) => !axes.includes(axis))
  return { kind: x.kind, dims, data: Float64Array.from(groups, f) }
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
export const mean = (values: readonly number[]): number => sum(values) / values.length

/** A plain copy of a one-dimensional value, such as Reshape's shape. */
export const list = (value: Value): number[] => Array.from(value.data)

export function ints(node: Node, name: string, fallback: readonly number[]): readonly number[] {
  const attribute = node.attributes[name]
  return attribute !== undefined && 'ints' in attribute ? attribute.ints : fallback
}

export function int(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes[name]
  return attribute !== undefined && 'int' in attribute ? attribute.int : fallback
}

export function float(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes[name]
  return attribute !== undefined && 'float' in attribute ? attribute.float : fallback
}

export function text(node: Node, name: string, fallback: string): string {
  const attribute = node.attributes[name]
  return attribute !== undefined && 'string' in attribute ? attribute.string : fallback
}

export function tensorAttribute(node: Node, name: string): Tensor | undefined {
  const attribute = node.attributes[name]
  return attribute !== undefined && 'tensor' in attribute ? attribute.tensor : undefined
}
