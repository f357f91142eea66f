// Rewrites of a lowered graph that keep its values: what nobody reads goes, and what is cheaper elsewhere moves there.
import type { Node } from './graph.ts'
import type { Shape } from './operators/index.ts'

/** The nodes that `outputs` depend on. */
export function prune(nodes: readonly Node[], outputs: readonly string[]): Node[] {
  const read = new Set(outputs)
  const kept = nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => read.has(name))) return false
    for (const name of node.inputs) read.add(name)
    return true
  })
  return kept.reverse()
}

/**
 * max(relu(x)) = relu(max(x)): a Relu whose only reader is a MaxPool moves behind it, where there is less to do.
 * Padding is no exception, since MaxPool never takes a padded value.
 */
export function poolBeforeRelu(nodes: readonly Node[], shapes: Map<string, Shape>, output: string): Node[] {
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
