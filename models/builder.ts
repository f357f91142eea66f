// Collects the nodes and constants of a graph under construction, and names its values.
import type { Attribute, Node, Tensor } from './graph.ts'
import { floatTensor, intTensor } from './graph.ts'

export interface Builder {
  readonly nodes: Node[]
  readonly constants: Map<string, Tensor>
  /** Appends a node and returns its first output's name. */
  op(op: string, inputs: readonly string[], attributes?: Readonly<Record<string, Attribute>>): string
  /** The same for a node of several outputs. */
  ops(op: string, inputs: readonly string[], outputs: number, attributes?: Readonly<Record<string, Attribute>>): string[]
  /** int64 constants, one-dimensional unless `dims` says otherwise. Equal ones are made once. */
  ints(values: readonly number[], dims?: readonly number[]): string
  /** A float32 scalar. Equal ones are made once. */
  scalar(value: number): string
  tensor(tensor: Tensor): string
  add(node: Node): void
  /** The node that yields a value. */
  makerOf(value: string): Node | undefined
}

/** @param prefix of all names, to keep those of nested graphs apart as ONNX asks */
export function createBuilder(prefix = ''): Builder {
  const nodes: Node[] = []
  const constants = new Map<string, Tensor>()
  const known = new Map<string, string>()
  const makers = new Map<string, Node>()
  let count = 0

  function add(node: Node): void {
    nodes.push(node)
    for (const name of node.outputs) makers.set(name, node)
  }

  function once(key: string, make: () => Tensor): string {
    const name = known.get(key) ?? tensor(make())
    known.set(key, name)
    return name
  }
  function tensor(value: Tensor): string {
    const name = `${prefix}c${count++}`
    constants.set(name, value)
    return name
  }
  function ops(op: string, inputs: readonly string[], outputs: number, attributes: Readonly<Record<string, Attribute>> = {}): string[] {
    const names = Array.from({ length: outputs }, () => `${prefix}${op}_${count++}`)
    add({ op, name: names[0]!, inputs, outputs: names, attributes })
    return names
  }
  return {
    nodes,
    constants,
    ops,
    op: (op, inputs, attributes) => ops(op, inputs, 1, attributes)[0]!,
    ints: (values, dims = [values.length]) => once(`i${dims}:${values}`, () => intTensor(values, dims)),
    scalar: (value) => once(`f${value}`, () => floatTensor([value], [])),
    tensor,
    add,
    makerOf: (value) => makers.get(value),
  }
}
