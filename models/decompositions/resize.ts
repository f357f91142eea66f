// Resize: every mode is a linear map along each axis by itself, so a product with a matrix made from ONNX's formulae, and its
// gradient comes by itself.
import {
  describeNode,
  floatAttribute,
  floatsOf,
  floatTensor,
  intAttribute,
  intsAttribute,
  intsOf,
  intTensor,
  invalid,
  type Node,
  stringAttribute,
  type Tensor,
} from '../graph.ts'
import { MATRIX_SIZE, type Matrix, mapAxis } from '../operators/separable.ts'
import { axisOf, type Decomposition, type DecompositionContext, type Decompositions, MAX_POSITIONS } from './types.ts'

interface Axis {
  from: number
  to: number
  scale: number
}

/** float32, step by step as onnxruntime computes: which of two numbers is the nearest may hang on the last bit. */
const f = Math.fround

const halfPixel = (at: number, { scale }: Axis): number => f(f((at + 0.5) / scale) - 0.5)

/** coordinate_transformation_mode: where in the input a position of the result lies. */
const COORDINATES: Readonly<Record<string, (at: number, axis: Axis) => number>> = {
  half_pixel: halfPixel,
  half_pixel_symmetric(at, { from, to, scale }) {
    const offset = f((from / 2) * f(1 - f(to / f(scale * from))))
    return f(f(offset + f((at + 0.5) / scale)) - 0.5)
  },
  pytorch_half_pixel: (at, axis) => (axis.to > 1 ? halfPixel(at, axis) : 0),
  align_corners: (at, { from, to }) => (to > 1 ? f((at * (from - 1)) / (to - 1)) : 0),
  asymmetric: (at, { scale }) => f(at / scale),
}

const ROUNDINGS: Readonly<Record<string, (at: number) => number>> = {
  round_prefer_floor: (at) => Math.ceil(at - 0.5),
  round_prefer_ceil: (at) => Math.floor(at + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
}

/** The numbers at whole positions that make up the one in between, as [position, weight]; positions may lie outside. */
type Interpolation = (at: number) => [number, number][]

const linear: Interpolation = (at) => {
  const floor = Math.floor(at)
  return [
    [floor, 1 - (at - floor)],
    [floor + 1, at - floor],
  ]
}

/** Keys, Cubic convolution interpolation (1981). */
const cubic =
  (a: number): Interpolation =>
  (at) => {
    const floor = Math.floor(at)
    const weight = (distance: number) =>
      distance <= 1 ? ((a + 2) * distance - (a + 3)) * distance ** 2 + 1 : a * (((distance - 5) * distance + 8) * distance - 4)
    return [-1, 0, 1, 2].map((tap) => [floor + tap, weight(Math.abs(at - floor - tap))])
  }

const choose = <T>(node: Node, name: string, fallback: string, choices: Readonly<Record<string, T>>): T => {
  const value = stringAttribute(node, name, fallback)
  const choice = Object.hasOwn(choices, value) ? choices[value] : undefined
  if (choice === undefined)
    throw invalid(`${describeNode(node)} has the ${name} "${value}"; supported are ${Object.keys(choices).join(', ')}.`)
  return choice
}

function interpolationOf(node: Node): Interpolation {
  const rounding = choose(node, 'nearest_mode', 'round_prefer_floor', ROUNDINGS)
  const nearest: Interpolation = (at) => [[rounding(at), 1]]
  return choose(node, 'mode', 'nearest', { nearest, linear, cubic: cubic(floatAttribute(node, 'cubic_coeff_a', -0.75)) })
}

/** What each number of the result is made of; always as many parts. */
type Rows = readonly (readonly [number, number][])[]

/** @param excludes leaves out what lies outside the input, where otherwise the border's number stands */
function rowsOf(axis: Axis, position: (at: number, axis: Axis) => number, interpolate: Interpolation, excludes: boolean): Rows {
  const { from, to } = axis
  return Array.from({ length: to }, (_, at) => {
    const taps = interpolate(position(at, axis)).map(([place, weight]): [number, number] => {
      const inside = Math.max(0, Math.min(from - 1, place))
      return [inside, excludes && inside !== place ? 0 : weight]
    })
    const sum = taps.reduce((sum, [, weight]) => sum + weight, 0)
    return excludes ? taps.map(([place, weight]): [number, number] => [place, weight / sum]) : taps
  })
}

function matrixOf(rows: Rows, from: number): Matrix {
  return rows.map((taps) => {
    const row = Array<number>(from).fill(0)
    for (const [place, weight] of taps) row[place]! += weight
    return row
  })
}

/** Axes too long for a matrix: a weighted sum of the numbers at the taps. */
function gather({ emit, define }: DecompositionContext, value: string, axis: number, rank: number, rows: Rows): string {
  const parts = rows[0]!.map((_, tap) => {
    const places = define(intTensor(rows.map((taps) => taps[tap]![0])))
    const weights = floatTensor(
      rows.map((taps) => taps[tap]![1]),
      [rows.length, ...Array<number>(rank - axis - 1).fill(1)],
    )
    return emit('Mul', [emit('Gather', [value, places], { axis: { int: axis } }), define(weights)])
  })
  return parts.reduce((sum, part) => emit('Add', [sum, part]))
}

/** All axes' sizes and scales; of `scales` and `sizes`, one input is given. */
function axesOf(node: Node, { shapes, constant }: DecompositionContext): Axis[] {
  const dims = shapes[0]!
  const known = (input: number) => {
    const tensor = node.inputs[input] ? constant(input) : undefined
    if (node.inputs[input] && tensor === undefined && shapes[input]![0] !== 0) {
      throw invalid(`${describeNode(node)} takes a size that is only known when the model runs; fix it at export.`)
    }
    return tensor
  }
  const [scales, sizes] = [known(2), known(3)]
  const axes = (intsAttribute(node, 'axes') ?? [...dims.keys()]).map((axis) => axisOf(node, axis, dims.length))
  const given = sizes !== undefined ? intsOf(sizes) : scales !== undefined ? [...floatsOf(scales)] : []
  if (given.length !== axes.length || given.some((value) => !(value > 0))) {
    throw invalid(`${describeNode(node)} resizes [${dims.join(', ')}] by [${given.join(', ')}], which do not fit.`)
  }
  if (stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch') !== 'stretch') {
    throw invalid(`${describeNode(node)} keeps the aspect ratio; only "stretch" is supported.`)
  }
  return dims.map((from, axis) => {
    const value = given[axes.indexOf(axis)]
    if (value === undefined) return { from, to: from, scale: 1 }
    return sizes !== undefined ? { from, to: value, scale: f(value / from) } : { from, to: Math.floor(f(value * from)), scale: value }
  })
}

const Resize: Decomposition = (node, context) => {
  const { emit, define, shapes, alias } = context
  if (intAttribute(node, 'antialias', 0) !== 0)
    throw invalid(`${describeNode(node)} smooths what it shrinks (antialias), which is not supported.`)
  const position = choose(node, 'coordinate_transformation_mode', 'half_pixel', COORDINATES)
  const interpolate = interpolationOf(node)
  const excludes = intAttribute(node, 'exclude_outside', 0) === 1
  const write = {
    op: (op: string, inputs: readonly string[]) => emit(op, inputs),
    ints: (values: readonly number[]) => define(intTensor(values)),
    tensor: (tensor: Tensor) => define(tensor),
  }
  let value = node.inputs[0]!
  let dims = shapes[0]!
  for (const [i, axis] of axesOf(node, context).entries()) {
    const { from, to, scale } = axis
    if (from === to && scale === 1) continue
    if (!(to >= 1 && to <= MAX_POSITIONS))
      throw invalid(`${describeNode(node)} makes ${to} of ${from} along axis ${i}, which is not supported.`)
    const rows = rowsOf(axis, position, interpolate, excludes)
    const isShort = from * to <= MATRIX_SIZE
    value = isShort ? mapAxis(write, value, dims, i, matrixOf(rows, from)) : gather(context, value, i, dims.length, rows)
    dims = dims.with(i, to)
  }
  alias(node.outputs[0]!, value)
}

export const resize: Decompositions = { Resize }
