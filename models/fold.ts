// Integer arithmetic on shapes, done at compile time. PyTorch exports `x.view(x.size(0), -1)` as a chain of such nodes.
import { sizeOf } from '../protocol/layout.ts'
import { intAttribute, intsOf, intTensor, type Node, type Tensor, TYPE } from './graph.ts'
import type { Shape } from './operators/types.ts'

/** The result of a node whose integer inputs are all known; undefined where it cannot be told. */
type Fold = (node: Node, inputs: readonly Tensor[]) => Tensor | undefined

const arithmetic =
  (compute: (a: number, b: number) => number): Fold =>
  (_, [a, b]) => {
    const [left, right] = [intsOf(a!), intsOf(b!)]
    if (left.length !== right.length && left.length !== 1 && right.length !== 1) return undefined
    const count = Math.max(left.length, right.length)
    const values = Array.from({ length: count }, (_, i) => compute(left[i % left.length]!, right[i % right.length]!))
    return intTensor(values, left.length === count ? a!.dims : b!.dims)
  }

const flat: Fold = (_, [x]) => intTensor(intsOf(x!))

const FOLDS: Readonly<Record<string, Fold>> = {
  Add: arithmetic((a, b) => a + b),
  Sub: arithmetic((a, b) => a - b),
  Mul: arithmetic((a, b) => a * b),
  Div: arithmetic((a, b) => Math.trunc(a / b)),
  Cast: (node, [x]) => (intAttribute(node, 'to', 0) === TYPE.int64 ? intTensor(intsOf(x!), x!.dims) : undefined),
  Concat: (_, inputs) => intTensor(inputs.flatMap(intsOf)),
  Gather: (_, [x, at]) => {
    const values = intsOf(x!)
    const indices = intsOf(at!).map((index) => (index < 0 ? index + values.length : index))
    return indices.every((index) => index < values.length)
      ? intTensor(
          indices.map((index) => values[index]!),
          at!.dims,
        )
      : undefined
  },
  Squeeze: (_, [x]) => (sizeOf(x!.dims) === 1 ? intTensor(intsOf(x!), []) : undefined),
  Unsqueeze: flat,
  Slice: (_, [x, start, end, , step]) =>
    step !== undefined && intsOf(step)[0] !== 1 ? undefined : intTensor(intsOf(x!).slice(intsOf(start!)[0], intsOf(end!)[0])),
}

/** Operators that are supported on shapes only. */
export const FOLDED: readonly string[] = ['Shape', 'Cast', 'Concat', 'Gather', 'Slice']

const isIndex = (tensor: Tensor): boolean => (tensor.type === TYPE.int64 || tensor.type === TYPE.int32) && tensor.dims.length <= 1

/** The node's value if it only depends on shapes and integer constants. */
export function fold(node: Node, shapes: readonly Shape[], constants: readonly (Tensor | undefined)[]): Tensor | undefined {
  if (node.op === 'Shape') {
    const { start, end } = node.attributes
    return start === undefined && end === undefined ? intTensor(shapes[0] ?? []) : undefined
  }
  const rule = Object.hasOwn(FOLDS, node.op) ? FOLDS[node.op] : undefined
  const known = constants.filter((tensor) => tensor !== undefined)
  if (rule === undefined || known.length !== node.inputs.length || !known.every(isIndex)) return undefined
  return rule(node, known)
}
