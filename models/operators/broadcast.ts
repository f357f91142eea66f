// NumPy-style broadcasting (ONNX "Multidirectional Broadcasting") and its transpose, a sum.
import type { Builder } from '../builder.ts'
import { describeNode, invalid, type Node } from '../graph.ts'
import type { Shape } from './types.ts'

export function broadcast(node: Node, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1
    const y = b[i - rank + b.length] ?? 1
    if (x !== y && x !== 1 && y !== 1) {
      throw invalid(`${describeNode(node)} joins shapes [${a.join(', ')}] and [${b.join(', ')}], which do not fit.`)
    }
    return x === 1 ? y : x
  })
}

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i])

/** Sums `value` of shape `from` over the axes along which `to` was broadcast, giving shape `to`. */
export function unbroadcast(b: Builder, value: string, from: Shape, to: Shape): string {
  if (sameShape(from, to)) return value
  const lead = from.length - to.length
  const axes = from.flatMap((dim, i) => (i < lead || (to[i - lead] === 1 && dim !== 1) ? [i] : []))
  const summed = axes.length === 0 ? value : b.op('ReduceSum', [value, b.ints(axes)], { keepdims: { int: 1 } })
  return lead === 0 ? summed : b.op('Reshape', [summed, b.ints(to)])
}
