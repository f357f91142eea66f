// The reference's reductions, running sums and positions of extremes.
import type { Node } from '../../../models/graph.ts'
import { at, type Family, fromFront, int, ints, list, make, mean, reduce, sum, type Value } from './values.ts'

/** Axes as an attribute (before operator set 13 or 18) or as an input (since); all of them where none are named. */
function axesOf(node: Node, x: Value, given: Value | undefined): number[] {
  const axes = (given === undefined ? ints(node, 'axes', []) : list(given)).map((axis) => fromFront(axis, x.dims.length))
  return axes.length > 0 || int(node, 'noop_with_empty_axes', 0) === 1 ? axes : [...x.dims.keys()]
}

const reduction =
  (f: (values: readonly number[]) => number) =>
  ([x, given]: readonly Value[], node: Node): Value => {
    const axes = axesOf(node, x!, given)
    return axes.length === 0 ? x! : reduce(x!, axes, int(node, 'keepdims', 1) === 1, f)
  }

/** Position of the extreme along one axis: the first of several, or the last where the node asks. */
const position =
  (better: (a: number, b: number) => boolean) =>
  ([x]: readonly Value[], node: Node): Value => {
    const last = int(node, 'select_last_index', 0) === 1
    const find = (values: readonly number[]) =>
      values.reduce((best, value, i) => (better(value, values[best]!) || (last && value === values[best]) ? i : best), 0)
    const found = reduce(x!, [fromFront(int(node, 'axis', 0), x!.dims.length)], int(node, 'keepdims', 1) === 1, find)
    return { ...found, kind: 'int' }
  }

const largest = (values: readonly number[]) => Math.max(...values)

export const reductions: Family = {
  ReduceSum: reduction(sum),
  ReduceMean: reduction(mean),
  ReduceMax: reduction(largest),
  ReduceMin: reduction((values) => Math.min(...values)),
  ReduceProd: reduction((values) => values.reduce((product, value) => product * value, 1)),
  ReduceL1: reduction((values) => sum(values.map(Math.abs))),
  ReduceL2: reduction((values) => Math.sqrt(sum(values.map((value) => value * value)))),
  ReduceLogSum: reduction((values) => Math.log(sum(values))),
  ReduceLogSumExp: reduction((values) => {
    const top = largest(values)
    return top + Math.log(sum(values.map((value) => Math.exp(value - top))))
  }),
  ReduceSumSquare: reduction((values) => sum(values.map((value) => value * value))),
  ArgMax: position((a, b) => a > b),
  ArgMin: position((a, b) => a < b),
  TopK([x, count], node) {
    const axis = fromFront(int(node, 'axis', -1), x!.dims.length)
    const sign = int(node, 'largest', 1) === 1 ? 1 : -1
    const order = (index: readonly number[]) => {
      const line = Array.from({ length: x!.dims[axis]! }, (_, i) => at(x!, index.with(axis, i)))
      // A stable sort: of equal numbers the first comes first.
      return [...line.keys()].sort((a, b) => sign * (line[b]! - line[a]!))
    }
    const dims = x!.dims.with(axis, count!.data[0]!)
    const indices = make(dims, (index) => order(index)[index[axis]!]!, 'int')
    return [make(dims, (index) => at(x!, index.with(axis, at(indices, index)))), indices]
  },
  CumSum([x, along], node) {
    const axis = fromFront(along!.data[0]!, x!.dims.length)
    const [exclusive, reverse] = [int(node, 'exclusive', 0), int(node, 'reverse', 0)]
    return make(
      x!.dims,
      (index) => {
        const here = index[axis]!
        let total = 0
        for (let i = 0; i < x!.dims[axis]!; i++) {
          const before = reverse ? i > here : i < here
          if (before || (i === here && !exclusive)) total += at(x!, index.with(axis, i))
        }
        return total
      },
      x!.kind,
    )
  },
}
