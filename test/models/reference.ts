// A slow, plain interpreter of ONNX in float64, written from the operators' specifications alone: what onnxruntime's forward and
// the compiled gradients are checked against. In float64 a finite difference is exact to six digits and crosses no kink.
import { type Graph, TYPE } from '../../models/graph.ts'
import { elementwise } from './reference/elementwise.ts'
import { linear } from './reference/linear.ts'
import { logSoftmax, normalization } from './reference/normalization.ts'
import { recurrent } from './reference/recurrent.ts'
import { reductions } from './reference/reduction.ts'
import { resizing } from './reference/resize.ts'
import { shaping, toValue } from './reference/shaping.ts'
import { type Family, map, sizeOf, type Value } from './reference/values.ts'
import { windowed } from './reference/windows.ts'

const OPERATORS: Family = { ...elementwise, ...linear, ...normalization, ...recurrent, ...reductions, ...resizing, ...shaping, ...windowed }

/** The output of a whole graph for `x`, with some of its constants replaced. */
export function runReference(graph: Graph, x: ArrayLike<number>, replaced: ReadonlyMap<string, Float64Array> = new Map()): Value {
  const values = new Map<string, Value>()
  const [input] = graph.inputs
  const sample = input!.dims.slice(1).map(Number)
  const kind = input!.type === TYPE.float32 ? 'float' : 'int'
  values.set(input!.name, { kind, dims: [x.length / sizeOf(sample), ...sample], data: Float64Array.from(x) })
  for (const [name, tensor] of graph.constants) {
    const data = replaced.get(name)
    values.set(name, data === undefined ? toValue(tensor) : { kind: 'float', dims: tensor.dims, data })
  }
  for (const node of graph.nodes) {
    const evaluate = OPERATORS[node.op]
    if (evaluate === undefined) throw new Error(`the reference has no ${node.op}`)
    // The name '' is an input that was left out, which no value has.
    const results = [evaluate(node.inputs.map((name) => values.get(name)) as Value[], node)].flat()
    for (const [i, name] of node.outputs.entries()) if (name !== '') values.set(name, results[i]!)
  }
  return values.get(graph.outputs[0]!.name)!
}

/** Mean cross-entropy of the softmax of the graph's output, labels smoothed; an output that is a softmax already is not taken twice. */
export function referenceLoss(
  graph: Graph,
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  replaced?: ReadonlyMap<string, Float64Array>,
  smoothing = 0,
): number {
  const scores = runReference(graph, x, replaced)
  const [batch, classes] = scores.dims as [number, number]
  const last = graph.nodes.find(({ outputs }) => outputs[0] === graph.outputs[0]!.name)!.op
  const logs = last === 'Softmax' ? map(scores, Math.log) : last === 'LogSoftmax' ? scores : logSoftmax(scores, 1)
  let sum = 0
  for (let i = 0; i < batch; i++) {
    for (let c = 0; c < classes; c++) {
      const target = (c === y[i] ? 1 - smoothing : 0) + smoothing / classes
      sum -= target * logs.data[i * classes + c]!
    }
  }
  return sum / batch
}
