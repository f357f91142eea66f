// Parameters that an exporter merged because their values were equal, apart again.
import { create } from '@bufbuild/protobuf'
import { MurmurError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { type ModelProto, type NodeProto, type TensorProto, TensorProtoSchema } from './onnx_pb.ts'

/** How PyTorch's exporter names what it computed from weights. */
const FOLDED_WEIGHT = 'onnx::'

/**
 * PyTorch's exporter merges initializers that hold equal values, such as fresh biases of zero or copied layers, and hands them on by
 * Identity nodes. They train apart in PyTorch, and here: each such node becomes an initializer of its own. What is tied by design
 * keeps its node: the exporter folds the weights of a module that is called twice once for each call ("onnx::MatMul_42"), and names
 * the calls after the module, "/fc" and "/fc_1".
 */
export function untie({ graph }: ModelProto): void {
  if (graph === undefined) return
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]))
  const outputs = new Set(graph.output.map(({ name }) => name))
  const readers = new Map(
    graph.node.flatMap(({ name, input, opType }) => (opType === 'Identity' ? [] : input.map((value) => [value, scopeOf(name)]))),
  )
  const merged = graph.node.filter(
    ({ opType, input, output }) => opType === 'Identity' && initializers.has(input[0] ?? '') && !outputs.has(output[0] ?? ''),
  )
  const copies = Map.groupBy(merged, ({ input }) => input[0]!)
  checkCopies(copies, initializers)
  const apart = new Set<NodeProto>()
  const alikeOf = new Map([...copies].map(([source, nodes]) => [source, [source, ...nodes.map(({ output }) => output[0]!)]]))
  for (const node of merged) {
    const [source = '', name = ''] = [node.input[0], node.output[0]]
    const alike = name.startsWith(FOLDED_WEIGHT) ? alikeOf.get(source)! : []
    const isFirst = (other: string) => other.startsWith(FOLDED_WEIGHT) && isLaterCall(readers.get(name), readers.get(other))
    const first = alike.find((other) => other !== name && isFirst(other))
    if (first !== undefined) {
      node.input = [first]
    } else if (!initializers.has(name)) {
      // The bytes are shared until the values are taken out.
      const copy = create(TensorProtoSchema, { ...initializers.get(source)!, name })
      graph.initializer.push(copy)
      initializers.set(name, copy)
      apart.add(node)
    }
  }
  graph.node = graph.node.filter((node) => !apart.has(node))
}

/** Each copy becomes a parameter, of which the task holds so many. @throws limit-exceeded */
function checkCopies(copies: ReadonlyMap<string, readonly NodeProto[]>, initializers: ReadonlyMap<string, TensorProto>): void {
  let [count, bytes] = [0, 0]
  for (const [source, nodes] of copies) {
    const { rawData, floatData } = initializers.get(source)!
    count += nodes.length
    bytes += nodes.length * (rawData?.length ?? 4 * floatData.length)
  }
  if (count > LIMITS.layoutTensors || bytes > LIMITS.payloadBytes) {
    throw new MurmurError(
      'limit-exceeded',
      `The model hands on its tensors by ${count} Identity nodes of ${bytes} bytes; at most ${LIMITS.layoutTensors} of ${LIMITS.payloadBytes} bytes are accepted.`,
    )
  }
}

/** The call of a module that a node belongs to, as text and by its parts. */
interface Scope {
  text: string
  parts: readonly string[]
}

function scopeOf(name: string): Scope {
  const text = name.slice(0, Math.max(0, name.lastIndexOf('/')))
  return { text, parts: text.split('/') }
}

const NOWHERE = scopeOf('')

function isLaterCall(scope = NOWHERE, first = NOWHERE): boolean {
  const isLater = (part: string, of: string) => part.startsWith(`${of}_`) && /^\d+$/.test(part.slice(of.length + 1))
  return (
    scope.text !== first.text &&
    scope.parts.length === first.parts.length &&
    scope.parts.every((part, i) => part === first.parts[i] || isLater(part, first.parts[i]!))
  )
}
