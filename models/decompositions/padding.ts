// Padding for all axes by constants; or, where it repeats the input's own numbers, a choice of positions along each axis.
import { describeNode, intTensor, invalid, type Node, stringAttribute } from '../graph.ts'
import { axisOf, type Decomposition, type Decompositions, knownInts, MAX_POSITIONS } from './types.ts'

/** From a position that may lie outside 0 ... size - 1 to the one whose number stands there. */
const POSITIONS: Readonly<Record<string, (at: number, size: number) => number>> = {
  edge: (at, size) => Math.max(0, Math.min(size - 1, at)),
  // There and back is one period, which has neither end twice.
  reflect(at, size) {
    const period = Math.max(1, 2 * (size - 1))
    const place = modulo(at, period)
    return Math.min(place, period - place)
  },
  wrap: (at, size) => modulo(at, size),
}

const modulo = (value: number, by: number): number => ((value % by) + by) % by

const Pad: Decomposition = (node, context) => {
  const { shapes, emit, define } = context
  const dims = shapes[0]!
  const mode = stringAttribute(node, 'mode', 'constant')
  if (mode === 'constant' && !node.inputs[3]) return false
  const pads = padsOf(node, context, dims.length)
  if (mode === 'constant') return emit('Pad', [node.inputs[0]!, define(intTensor(pads)), node.inputs[2] ?? ''], {}, node.outputs)
  const position = Object.hasOwn(POSITIONS, mode) ? POSITIONS[mode] : undefined
  if (position === undefined) throw invalid(`${describeNode(node)} has the mode "${mode}", which ONNX does not know.`)
  const axes = [...dims.keys()].filter((axis) => pads[axis] !== 0 || pads[axis + dims.length] !== 0)
  if (axes.length === 0) return context.alias(node.outputs[0]!, node.inputs[0]!)
  let value = node.inputs[0]!
  for (const axis of axes) {
    const size = dims[axis]!
    const length = size + pads[axis]! + pads[axis + dims.length]!
    if (length < 0 || size === 0 || length > MAX_POSITIONS) {
      throw invalid(`${describeNode(node)} pads shape [${dims.join(', ')}] by [${pads.join(', ')}], which does not fit.`)
    }
    const positions = Array.from({ length }, (_, i) => position(i - pads[axis]!, size))
    value = emit('Gather', [value, define(intTensor(positions))], { axis: { int: axis } }, axis === axes.at(-1) ? node.outputs : undefined)
  }
  return value
}

/** Counts before each axis, then behind each, for all `rank` axes. */
function padsOf(node: Node, context: Parameters<Decomposition>[1], rank: number): number[] {
  const given = knownInts(context, 1, 'pads')
  if (!node.inputs[3]) return given
  const axes = knownInts(context, 3, 'axes').map((axis) => axisOf(node, axis, rank))
  const pads = Array<number>(2 * rank).fill(0)
  for (const [i, axis] of axes.entries()) {
    pads[axis] = given[i] ?? 0
    pads[axis + rank] = given[i + axes.length] ?? 0
  }
  return pads
}

export const padding: Decompositions = { Pad }
