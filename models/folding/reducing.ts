// Folds of operators along axes: sums, extremes, running sums, and where values are not zero.
import { intAttribute, intTensor, type Node, TYPE } from '../graph.ts'
import type { Shape } from '../operators/types.ts'
import { ARITHMETIC, type Arithmetic, ruleOf } from './elementwise.ts'
import { givenAxes } from './shaping.ts'
import {
  axesOf,
  axisOf,
  type Fold,
  type Folds,
  fits,
  integer,
  malformed,
  stridesOf,
  tensorOf,
  type Value,
  valuesOf,
  walk,
} from './values.ts'

/** The result's shape, and for every position of `dims` the result's position it goes into. */
function groups(dims: Shape, axes: readonly number[], keepDims: boolean): { result: Shape; into: Int32Array } {
  const kept = dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
  const strides = stridesOf(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride))
  return { result: keepDims ? kept : kept.filter((_, axis) => !axes.includes(axis)), into: walk(dims, strides) }
}

const keepDims = (node: Node): boolean => intAttribute(node, 'keepdims', 1) === 1

interface Reduction {
  /** What no values at all give; left to the runtime where this is missing. */
  empty?: number
  /** Whether bools are reduced as well, as 0 and 1. */
  ofBools?: boolean
  finish?: (value: Value, count: number) => Value
}

const reduction =
  (rule: Arithmetic, { empty, ofBools = false, finish = (value) => value }: Reduction): Fold =>
  (context) => {
    const { node, input } = context
    const x = input(0)
    const given = givenAxes(context) ?? []
    if (given.length === 0 && intAttribute(node, 'noop_with_empty_axes', 0) === 1) return x
    const axes = given.length === 0 ? [...x.dims.keys()] : axesOf(node, given, x.dims.length)
    const { result, into } = groups(x.dims, axes, keepDims(node))
    const compute = ruleOf(node, rule, ofBools && x.type === TYPE.bool ? TYPE.uint8 : x.type)
    const values = valuesOf(x)
    const reduced = new Map<number, Value>()
    for (const [i, group] of into.entries()) {
      const value = reduced.get(group)
      reduced.set(group, value === undefined ? values[i]! : compute(value, values[i]!))
    }
    if (reduced.size === 0 && (empty === undefined || !fits(result))) return undefined
    const count = into.length / Math.max(1, reduced.size)
    return tensorOf(x.type, result, (i) => {
      const value = reduced.get(i)
      return value === undefined ? empty! : finish(value, count)
    })
  }

/** @param better whether a later value takes the place of an earlier one */
const extreme =
  (better: (later: Value, earlier: Value) => boolean): Fold =>
  ({ node, input }) => {
    const x = input(0)
    const axis = axisOf(node, intAttribute(node, 'axis', 0), x.dims.length)
    if (x.dims[axis] === 0) throw malformed(node, 'looks for the largest of no values')
    const takeLast = intAttribute(node, 'select_last_index', 0) === 1
    const { result, into } = groups(x.dims, [axis], keepDims(node))
    const stride = stridesOf(x.dims)[axis]!
    const values = valuesOf(x)
    const best = new Map<number, number>()
    for (const [i, group] of into.entries()) {
      const earlier = best.get(group)
      if (earlier === undefined || better(values[i]!, values[earlier]!) || (takeLast && values[i] === values[earlier])) best.set(group, i)
    }
    return tensorOf(TYPE.int64, result, (group) => Math.floor(best.get(group)! / stride) % x.dims[axis]!)
  }

const CumSum: Fold = (context) => {
  const { node, input } = context
  const x = input(0)
  const axis = axisOf(node, integer(context, 1), x.dims.length)
  const exclusive = intAttribute(node, 'exclusive', 0) === 1
  const { into } = groups(x.dims, [axis], true)
  const order = [...into.keys()]
  if (intAttribute(node, 'reverse', 0) === 1) order.reverse()
  const add = ruleOf(node, ARITHMETIC.Add, x.type)
  const round = x.type === TYPE.float32 ? (value: Value) => Math.fround(value as number) : (value: Value) => value
  const values = valuesOf(x)
  const running = new Map<number, Value>()
  const sums: Value[] = []
  for (const i of order) {
    const before = running.get(into[i]!)
    const after = before === undefined ? values[i]! : round(add(before, values[i]!))
    running.set(into[i]!, after)
    sums[i] = exclusive ? (before ?? 0) : after
  }
  return tensorOf(x.type, x.dims, (i) => sums[i]!)
}

const NonZero: Fold = ({ input }) => {
  const x = input(0)
  // What a scalar gives is told in different ways; nobody exports one.
  if (x.dims.length === 0) return undefined
  const values = valuesOf(x)
  const found = [...walk(x.dims, stridesOf(x.dims))].filter((i) => values[i] !== 0 && values[i] !== 0n)
  const dims = [x.dims.length, found.length]
  if (!fits(dims)) return undefined
  const strides = stridesOf(x.dims)
  return intTensor(
    x.dims.flatMap((dim, axis) => found.map((i) => Math.floor(i / strides[axis]!) % dim)),
    dims,
  )
}

const mean = (value: Value, count: number): Value => (typeof value === 'bigint' ? value / BigInt(count) : value / count)

export const reducing: Folds = {
  ReduceSum: reduction(ARITHMETIC.Add, { empty: 0 }),
  ReduceProd: reduction(ARITHMETIC.Mul, { empty: 1 }),
  ReduceMax: reduction(ARITHMETIC.Max, { ofBools: true }),
  ReduceMin: reduction(ARITHMETIC.Min, { ofBools: true }),
  ReduceMean: reduction(ARITHMETIC.Add, { finish: mean }),
  ArgMax: extreme((later, earlier) => later > earlier),
  ArgMin: extreme((later, earlier) => later < earlier),
  CumSum,
  NonZero,
}
