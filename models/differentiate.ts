// Reverse-mode differentiation of a lowered graph, with the gradients written as further nodes.
import type { Builder } from './builder.ts'
import { byRules, floatAttribute, intAttribute, type Node, TYPE } from './graph.ts'
import type { Lowered } from './lower.ts'
import { type GradientContext, OPERATORS } from './operators/index.ts'

/**
 * Appends to `b`, which holds the forward nodes, those that compute dL/d each of `wanted`.
 * @param value the value whose gradient is known
 * @param grad dL/d value
 * @returns a gradient for each wanted value that `value` depends on
 */
export function differentiate(
  { nodes, shapes, types, constants }: Lowered,
  b: Builder,
  value: string,
  grad: string,
  wanted: ReadonlySet<string>,
): Map<string, string> {
  // Only along paths from a wanted value: so the first layer's input costs nothing.
  const active = new Set(wanted)
  for (const node of nodes) {
    if (OPERATORS[node.op]!.gradient === undefined || !node.inputs.some((name) => active.has(name))) continue
    for (const name of node.outputs) if (types.get(name) === TYPE.float32) active.add(name)
  }

  const parts = new Map<string, string[]>([[value, [grad]]])
  const total = (name: string): string | undefined => {
    const own = parts.get(name) ?? []
    const [first, ...rest] = own
    const sum = sumOfProducts(b, own) ?? rest.reduce<string | undefined>((sum, part) => b.op('Add', [sum!, part]), first)
    if (sum !== undefined) parts.set(name, [sum])
    return sum
  }
  for (const node of nodes.toReversed()) {
    const grads = node.outputs.map((name) => (active.has(name) ? total(name) : undefined))
    if (grads.every((grad) => grad === undefined)) continue
    const context: GradientContext = {
      node,
      b,
      grad: grads[0]!,
      grads,
      shape: shapes.get(node.outputs[0]!)!,
      shapes: node.inputs.map((name) => shapes.get(name) ?? []),
      types: node.inputs.map((name) => types.get(name) ?? TYPE.float32),
      constant: (i) => constants.get(node.inputs[i]!),
      needs: (i) => active.has(node.inputs[i]!),
    }
    const gradients = byRules(node, () => OPERATORS[node.op]!.gradient!(context))
    for (const [i, name] of node.inputs.entries()) {
      const gradient = gradients[i]
      if (gradient === undefined || !active.has(name)) continue
      const known = parts.get(name)
      if (known === undefined) parts.set(name, [gradient])
      else known.push(gradient)
    }
  }
  const result = new Map<string, string>()
  for (const name of wanted) {
    const sum = total(name)
    if (sum !== undefined) result.set(name, sum)
  }
  return result
}

/**
 * The sum of products A_i^T B_i as one product of all A_i and all B_i, stacked: what a weight gets that is used at many steps, as those
 * of recurrent layers are. Undefined where the parts are anything else.
 */
function sumOfProducts(b: Builder, parts: readonly string[]): string | undefined {
  const products = parts.map((part) => b.makerOf(part)).filter((node) => node !== undefined && isPlainProduct(node))
  if (parts.length < 2 || products.length < parts.length) return undefined
  const stack = (side: number) =>
    b.op(
      'Concat',
      products.map((node) => node!.inputs[side]!),
      { axis: { int: 0 } },
    )
  return b.op('Gemm', [stack(0), stack(1)], { transA: { int: 1 } })
}

/** A^T B with nothing added. */
const isPlainProduct = (node: Node): boolean =>
  node.op === 'Gemm' &&
  node.inputs.length === 2 &&
  intAttribute(node, 'transA', 0) === 1 &&
  intAttribute(node, 'transB', 0) === 0 &&
  floatAttribute(node, 'alpha', 1) === 1
