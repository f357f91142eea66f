// Matrix products. Y = A B gives dA = dY B^T and dB = A^T dY.
import type { Builder } from '../builder.ts'
import { describeNode, floatAttribute, intAttribute, invalid } from '../graph.ts'
import { broadcast, unbroadcast } from './broadcast.ts'
import type { GradientContext, Operator, Operators, Shape, ShapeContext } from './types.ts'

const mismatch = ({ node, shapes }: ShapeContext) =>
  invalid(`${describeNode(node)} multiplies shapes [${shapes[0]?.join(', ')}] and [${shapes[1]?.join(', ')}], which do not fit.`)

const gemm = (b: Builder, a: string, transA: number, other: string, transB: number, alpha: number): string =>
  b.op('Gemm', [a, other], { transA: { int: transA }, transB: { int: transB }, alpha: { float: alpha } })

/**
 * Y = alpha A' B' + beta C. Kept whole, not taken apart into MatMul and Add: PyTorch's Linear stores B transposed, and Gemm reads
 * and yields transposed matrices in place, where MatMul would need copies.
 */
const Gemm: Operator = {
  shape(context) {
    const { node, shapes } = context
    const [a = [], other = [], c = []] = shapes
    if (a.length !== 2 || other.length !== 2) throw mismatch(context)
    const [rows, inner] = intAttribute(node, 'transA', 0) ? [a[1]!, a[0]!] : [a[0]!, a[1]!]
    const [inner2, columns] = intAttribute(node, 'transB', 0) ? [other[1]!, other[0]!] : [other[0]!, other[1]!]
    if (inner !== inner2) throw mismatch(context)
    return broadcast(node, [rows, columns], c)
  },
  gradient({ node, b, grad, shape, shapes, needs }) {
    const [a = '', other = ''] = node.inputs
    const transA = intAttribute(node, 'transA', 0)
    const transB = intAttribute(node, 'transB', 0)
    const alpha = floatAttribute(node, 'alpha', 1)
    const beta = floatAttribute(node, 'beta', 1)
    const dA = () => (transA ? gemm(b, other, transB, grad, 1, alpha) : gemm(b, grad, 0, other, 1 - transB, alpha))
    const dB = () => (transB ? gemm(b, grad, 1, a, transA, alpha) : gemm(b, a, 1 - transA, grad, 0, alpha))
    const dC = () => unbroadcast(b, beta === 1 ? grad : b.op('Mul', [grad, b.scalar(beta)]), shape, shapes[2]!)
    return [needs(0) ? dA() : undefined, needs(1) ? dB() : undefined, node.inputs[2] && needs(2) ? dC() : undefined]
  },
}

const transposeLast = (b: Builder, value: string, rank: number): string =>
  b.op('Transpose', [value], { perm: { ints: [...Array(rank - 2).keys(), rank - 1, rank - 2] } })

const MatMul: Operator = {
  shape(context) {
    const { node, shapes } = context
    const [a = [], other = []] = shapes
    if (a.length < 2 || other.length < 2 || a.at(-1) !== other.at(-2)) throw mismatch(context)
    return [...broadcast(node, a.slice(0, -2), other.slice(0, -2)), a.at(-2)!, other.at(-1)!]
  },
  gradient(context) {
    const { shapes, needs } = context
    const [a = [], other = []] = shapes
    return other.length === 2
      ? rowsGradient(context, a, other)
      : [needs(0) ? leftGradient(context, a, other) : undefined, needs(1) ? rightGradient(context, a, other) : undefined]
  },
}

/** A matrix on the right: all leading axes of A are rows, so that both gradients are one Gemm. */
function rowsGradient({ node, b, grad, needs }: GradientContext, a: Shape, other: Shape): (string | undefined)[] {
  const rows = (value: string, columns: number) => (a.length === 2 ? value : b.op('Reshape', [value, b.ints([-1, columns])]))
  const dY = rows(grad, other[1]!)
  const dA = () => {
    const flat = gemm(b, dY, 0, node.inputs[1]!, 1, 1)
    return a.length === 2 ? flat : b.op('Reshape', [flat, b.ints(a)])
  }
  const dB = () => gemm(b, rows(node.inputs[0]!, other[0]!), 1, dY, 0, 1)
  return [needs(0) ? dA() : undefined, needs(1) ? dB() : undefined]
}

function leftGradient({ node, b, grad, shape }: GradientContext, a: Shape, other: Shape): string {
  const full = b.op('MatMul', [grad, transposeLast(b, node.inputs[1]!, other.length)])
  return unbroadcast(b, full, [...shape.slice(0, -2), ...a.slice(-2)], a)
}

function rightGradient({ node, b, grad, shape }: GradientContext, a: Shape, other: Shape): string {
  const full = b.op('MatMul', [transposeLast(b, node.inputs[0]!, a.length), grad])
  return unbroadcast(b, full, [...shape.slice(0, -2), ...other.slice(-2)], other)
}

export const linear: Operators = { Gemm, MatMul }
