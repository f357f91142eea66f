// Parameters that an exporter merged because their values were equal, apart again.
import { create } from '@bufbuild/protobuf'
import { type ModelProto, type NodeProto, TensorProtoSchema } from './onnx_pb.ts'

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
    graph.node.flatMap(({ name, input, opType }) => (opType === 'Identity' ? [] : input.map((value) => [value, name]))),
  )
  const merged = graph.node.filter(
    ({ opType, input, output }) => opType === 'Identity' && initializers.has(input[0] ?? '') && !outputs.has(output[0] ?? ''),
  )
  const apart = new Set<NodeProto>()
  for (const node of merged) {
    const [source = '', name = ''] = [node.input[0], node.output[0]]
    const alike = [source, ...merged.filter(({ input }) => input[0] === source).map(({ output }) => output[0]!)]
    const first = alike.find((other) => other !== name && isRepeat(name, readers.get(name), other, readers.get(other)))
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

/** Whether `reader` belongs to a later call of the module that `firstReader` belongs to, and both values were folded. */
function isRepeat(name: string, reader = '', first: string, firstReader = ''): boolean {
  if (!name.startsWith(FOLDED_WEIGHT) || !first.startsWith(FOLDED_WEIGHT)) return false
  const [scope, firstScope] = [reader, firstReader].map((text) => text.split('/').slice(0, -1)) as [string[], string[]]
  return (
    scope.length === firstScope.length &&
    scope.join() !== firstScope.join() &&
    scope.every(
      (part, i) => part === firstScope[i] || (part.startsWith(`${firstScope[i]}_`) && /^\d+$/.test(part.slice(firstScope[i]!.length + 1))),
    )
  )
}
