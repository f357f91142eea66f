// From a loaded model to primitive operators only, every shape a number: decomposes, folds shape arithmetic, infers shapes.
import { sizeOf } from '../protocol/layout.ts'
import { LIMITS } from '../protocol/limits.ts'
import { type DecompositionContext, decompositionOf } from './decompositions.ts'
import { fold } from './fold.ts'
import { invalid, type Node, type Tensor, TYPE } from './graph.ts'
import type { Model } from './load.ts'
import { OPERATORS, type Shape } from './operators/index.ts'
import { unsupported } from './supported.ts'

export interface Lowered {
  nodes: readonly Node[]
  /** Values known at compile time, by name. */
  constants: ReadonlyMap<string, Tensor>
  /** The shape of every value, the batch included. */
  shapes: ReadonlyMap<string, Shape>
  input: string
  output: string
  /** From a layout's names to the graph's values. */
  parameters: ReadonlyMap<string, string>
}

/** Nodes that a graph may have once taken apart; a bound on compile time. */
const NODES = 100_000

/** The model for batches of `batch` samples. @throws model-invalid, operator-unsupported */
export function lower({ graph, input, output }: Model, batch: number): Lowered {
  const nodes: Node[] = []
  const constants = new Map<string, Tensor>()
  const shapes = new Map<string, Shape>()
  const parameters = new Map<string, string>()
  // Renamed, so that no name of the model's meets one of the compilers'.
  const names = new Map<string, string>([['', '']])
  let count = 0

  const rename = (name: string): string => {
    const fresh = `m${count++}`
    names.set(name, fresh)
    return fresh
  }
  const unused = () => `\u0000${count}`
  const define = (tensor: Tensor, name: string): void => {
    constants.set(rename(name), tensor)
    shapes.set(names.get(name)!, tensor.dims)
  }

  function visit(node: Node, depth: number): void {
    const inputs = node.inputs.map((name) => names.get(name)!)
    const inputShapes = inputs.map((name) => shapes.get(name) ?? [])
    const known = inputs.map((name) => constants.get(name))
    const folded = fold(node, inputShapes, known)
    if (folded !== undefined) {
      define(folded, node.outputs[0]!)
      return
    }

    const decompose = decompositionOf(node)
    if (decompose !== undefined && depth < 8) {
      const context: DecompositionContext = {
        shapes: inputShapes,
        constant: (i) => known[i],
        emit(op, inputs, attributes, outputs = [unused()]) {
          visit({ op, name: node.name, inputs, outputs, attributes }, depth + 1)
          return outputs[0]!
        },
        define(tensor, name = unused()) {
          define(tensor, name)
          return name
        },
        alias: (name, value) => void names.set(name, names.get(value)!),
      }
      decompose(node, context)
      return
    }

    const operator = Object.hasOwn(OPERATORS, node.op) ? OPERATORS[node.op] : undefined
    if (operator === undefined) throw unsupported(node)
    if (node.outputs.slice(1).some((name) => name !== '')) throw unsupported({ ...node, name: `${node.name}" with several outputs` })
    const shape = operator.shape({ node, shapes: inputShapes, constant: (i) => known[i] })
    if (sizeOf(shape) * 4 > LIMITS.payloadBytes) {
      throw invalid(`${node.op} "${node.name}" makes [${shape.join(', ')}] numbers for a batch of ${batch}; use smaller batches.`)
    }
    const result = rename(node.outputs[0]!)
    shapes.set(result, shape)
    nodes.push({ ...node, inputs, outputs: [result] })
    if (nodes.length > NODES) throw invalid(`The model has more than ${NODES} operations; use a smaller one.`)
  }

  const dims = [batch, ...input.dims.slice(1).map(Number)]
  shapes.set(rename(input.name), dims)
  for (const [name, tensor] of graph.constants) {
    define(tensor, name)
    if (tensor.data === undefined) {
      const value = names.get(name)!
      parameters.set(name, value)
      // Its value is the flat vector's, not a constant.
      constants.delete(value)
    }
  }
  for (const node of graph.nodes) visit(node, 0)
  const result = names.get(output.name)!
  const floats = [...constants.values()].find(({ type }) => type === TYPE.float64)
  if (floats !== undefined) throw invalid('The model computes in float64; export it as float32.')
  return { nodes: poolBeforeRelu(nodes, shapes, result), constants, shapes, input: names.get(input.name)!, output: result, parameters }
}

/**
 * max(relu(x)) = relu(max(x)): a Relu whose only reader is a MaxPool moves behind it, where there is less to do.
 * Padding is no exception, since MaxPool never takes a padded value.
 */
function poolBeforeRelu(nodes: readonly Node[], shapes: Map<string, Shape>, output: string): Node[] {
  const readers = new Map<string, number>([[output, 1]])
  const makers = new Map<string, number>()
  for (const [i, node] of nodes.entries()) {
    for (const input of node.inputs) readers.set(input, (readers.get(input) ?? 0) + 1)
    makers.set(node.outputs[0]!, i)
  }
  const moved = [...nodes]
  for (const [i, pool] of nodes.entries()) {
    const between = pool.inputs[0]!
    const at = makers.get(between)
    if (pool.op !== 'MaxPool' || at === undefined || nodes[at]?.op !== 'Relu' || readers.get(between) !== 1) continue
    moved[at] = { ...pool, inputs: nodes[at].inputs, outputs: [between] }
    moved[i] = { ...nodes[at], inputs: [between], outputs: pool.outputs }
    shapes.set(between, shapes.get(pool.outputs[0]!)!)
  }
  return moved
}
