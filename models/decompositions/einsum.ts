// Sums of products by index notation, operands taken two at a time from the left: a matrix product over the indices that both have and
// nobody needs any more. An ellipsis stands for indices of its own, named by digits, counted from the right.
import { sizeOf } from '../../protocol/layout.ts'
import { describeNode, intTensor, invalid, type Node, stringAttribute } from '../graph.ts'
import type { DecompositionContext, Decompositions } from './types.ts'

/** A value and the name of each of its axes. */
interface Term {
  value: string
  labels: readonly string[]
}

interface Equation {
  terms: string[][]
  result: string[]
}

/** Axes that an ellipsis may stand for: there are so many digits. */
const ELLIPSIS_AXES = 10
/** Operands of one equation; exported ones have two or three. */
const MAX_OPERANDS = 32

const malformed = (node: Node, why: string) =>
  invalid(`${describeNode(node)} has the equation "${stringAttribute(node, 'equation', '')}", ${why}.`)

/** @param ranks of the operands */
function parse(node: Node, ranks: readonly number[]): Equation {
  const [left = '', right] = stringAttribute(node, 'equation', '').replaceAll(' ', '').split('->')
  const operands = left.split(',')
  if (operands.length !== ranks.length) throw malformed(node, `but ${ranks.length} operands`)
  if (operands.length > MAX_OPERANDS) throw malformed(node, `of more than ${MAX_OPERANDS} operands`)
  let widest = 0
  const digits = (count: number): string => {
    if (count < 0 || count > ELLIPSIS_AXES) throw malformed(node, 'which does not fit the shapes of its operands')
    widest = Math.max(widest, count)
    return Array.from({ length: count }, (_, i) => count - 1 - i).join('')
  }
  const labelsOf = (text: string, ellipsis: number): string[] => {
    const labels = [...text.replace('...', digits(ellipsis))]
    if (!labels.every((label) => /[A-Za-z0-9]/.test(label)) || /\d/.test(text)) throw malformed(node, 'which is not in index notation')
    if (new Set(labels).size !== labels.length)
      throw malformed(node, 'which names an index twice in one place; diagonals are not supported')
    return labels
  }
  const terms = operands.map((text, i) => {
    const labels = labelsOf(text, text.includes('...') ? ranks[i]! - text.length + 3 : 0)
    if (labels.length !== ranks[i]) throw malformed(node, `but operand ${i + 1} has ${ranks[i]} axes`)
    return labels
  })
  if (right !== undefined) return { terms, result: labelsOf(right, right.includes('...') ? widest : 0) }
  // Without a result: the ellipsis, then what occurs once, by the alphabet.
  const all = terms.flat()
  const once = all.filter((label) => /[A-Za-z]/.test(label) && all.indexOf(label) === all.lastIndexOf(label))
  return { terms, result: [...digits(widest), ...once.sort()] }
}

function workbench({ emit, define, shapeOf }: DecompositionContext) {
  const sizeAt = ({ value, labels }: Term, label: string): number => shapeOf(value)[labels.indexOf(label)] ?? 1

  const reshape = (value: string, dims: readonly number[]): string =>
    shapeOf(value).join() === dims.join() ? value : emit('Reshape', [value, define(intTensor(dims))])

  function turn({ value, labels }: Term, to: readonly string[]): Term {
    if (labels.join() === to.join()) return { value, labels }
    return { value: emit('Transpose', [value], { perm: { ints: to.map((label) => labels.indexOf(label)) } }), labels: to }
  }

  function sumOver({ value, labels }: Term, gone: readonly string[]): Term {
    if (gone.length === 0) return { value, labels }
    const axes = define(intTensor(gone.map((label) => labels.indexOf(label))))
    return { value: emit('ReduceSum', [value, axes], { keepdims: { int: 0 } }), labels: labels.filter((label) => !gone.includes(label)) }
  }

  /** The product of two, summed over what `needed` does not have. */
  function multiply(a: Term, b: Term, needed: ReadonlySet<string>): Term {
    // What only one has, or has more than one of, is summed before.
    const alone = (term: Term, other: Term) =>
      term.labels.filter((label) => !needed.has(label) && sizeAt(term, label) !== (other.labels.includes(label) ? sizeAt(other, label) : 0))
    const [x, y] = [sumOver(a, alone(a, b)), sumOver(b, alone(b, a))]
    const shared = x.labels.filter((label) => y.labels.includes(label))
    const batch = shared.filter((label) => needed.has(label))
    const inner = shared.filter((label) => !needed.has(label))
    const rows = x.labels.filter((label) => !shared.includes(label))
    const columns = y.labels.filter((label) => !shared.includes(label))
    const sizes = (term: Term, labels: readonly string[]) => labels.map((label) => sizeAt(term, label))
    const count = (term: Term, labels: readonly string[]) => sizeOf(sizes(term, labels))
    const labels = [...batch, ...rows, ...columns]
    const left = turn(x, [...batch, ...rows, ...inner]).value
    if (inner.length === 0) {
      const right = turn(y, [...batch, ...columns]).value
      const factors = [
        reshape(left, [...sizes(x, batch), ...sizes(x, rows), ...columns.map(() => 1)]),
        reshape(right, [...sizes(y, batch), ...rows.map(() => 1), ...sizes(y, columns)]),
      ]
      return { value: emit('Mul', factors), labels }
    }
    const right = turn(y, [...batch, ...inner, ...columns]).value
    const product = emit('MatMul', [
      reshape(left, [...sizes(x, batch), count(x, rows), count(x, inner)]),
      reshape(right, [...sizes(y, batch), count(y, inner), count(y, columns)]),
    ])
    return { value: reshape(product, [...shapeOf(product).slice(0, batch.length), ...sizes(x, rows), ...sizes(y, columns)]), labels }
  }
  return { turn, sumOver, multiply }
}

export const einsum: Decompositions = {
  Einsum(node, context) {
    const { terms, result } = parse(
      node,
      context.shapes.map(({ length }) => length),
    )
    const { turn, sumOver, multiply } = workbench(context)
    const operands = terms.map((labels, i) => ({ value: node.inputs[i]!, labels }))
    const sizes = new Map<string, number>()
    for (const [i, labels] of terms.entries()) {
      for (const [axis, label] of labels.entries()) {
        const [known = 1, size = 1] = [sizes.get(label), context.shapes[i]![axis]]
        if (known !== 1 && size !== 1 && known !== size) throw malformed(node, `but index ${label} counts ${known} and ${size}`)
        sizes.set(label, Math.max(known, size))
      }
    }
    if (!result.every((label) => sizes.has(label))) throw malformed(node, 'whose result has an index that no operand has')
    const [first, ...rest] = operands
    const product = rest.reduce<Term>((left, right, i) => multiply(left, right, new Set([...result, ...terms.slice(i + 2).flat()])), first!)
    const sum = sumOver(
      product,
      product.labels.filter((label) => !result.includes(label)),
    )
    context.alias(node.outputs[0]!, turn(sum, result).value)
  },
}
