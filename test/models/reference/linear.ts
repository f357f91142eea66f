// The reference's products of matrices and tensors.
import { at, each, type Family, float, int, joined, map, reshaped, text, transpose, type Value, zip } from './values.ts'

/** As NumPy's matmul: a vector on the left is a row, on the right a column, and the axis it lent is dropped from the result. */
export function matmul(a: Value, b: Value): Value {
  if (a.dims.length === 1) {
    const product = matmul(reshaped(a, [1, ...a.dims]), b)
    return reshaped(product, b.dims.length === 1 ? [] : [...product.dims.slice(0, -2), product.dims.at(-1)!])
  }
  if (b.dims.length === 1) {
    const product = matmul(a, reshaped(b, [...b.dims, 1]))
    return reshaped(product, product.dims.slice(0, -1))
  }
  const [rows, inner] = a.dims.slice(-2) as [number, number]
  const [same, columns] = b.dims.slice(-2) as [number, number]
  if (inner !== same) throw new Error(`[${a.dims}] and [${b.dims}] do not multiply`)
  const lead = joined(a.dims.slice(0, -2), b.dims.slice(0, -2))
  const data: number[] = []
  each(lead, (index) => {
    const left = rowsOf(a, index)
    const right = rowsOf(b, index)
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        let total = 0
        for (let k = 0; k < inner; k++) total += left[row * inner + k]! * right[k * columns + column]!
        data.push(total)
      }
    }
  })
  return { kind: a.kind, dims: [...lead, rows, columns], data: Float64Array.from(data) }
}

/** The matrix of `value` at an index of the leading axes that its own broadcast to. */
function rowsOf({ dims, data }: Value, index: readonly number[]): Float64Array {
  const lead = dims.slice(0, -2)
  const size = dims.at(-2)! * dims.at(-1)!
  const skip = index.length - lead.length
  const at = lead.reduce((flat, dim, axis) => flat * dim + (dim === 1 ? 0 : index[axis + skip]!), 0)
  return data.subarray(at * size, (at + 1) * size)
}

/** Sums over every label that the result does not have, one index of all labels at a time. */
function einsum(equation: string, operands: readonly Value[]): Value {
  const [inputs, given] = equation.replaceAll(' ', '').split('->') as [string, string | undefined]
  const sizes = new Map<string, number>()
  let dots: string[] = []
  const terms = inputs.split(',').map((term, i) => {
    const rank = operands[i]!.dims.length
    const missing = rank - term.replace('...', '').length
    const ellipsis = term.includes('...') ? Array.from({ length: missing }, (_, k) => `.${missing - k}`) : []
    if (ellipsis.length > dots.length) dots = ellipsis
    const [before, after = ''] = term.split('...') as [string, string | undefined]
    const labels = [...before, ...ellipsis, ...after]
    for (const [axis, label] of labels.entries()) sizes.set(label, Math.max(sizes.get(label) ?? 1, operands[i]!.dims[axis]!))
    return labels
  })
  const all = [...sizes.keys()]
  const once = all.filter((label) => !label.startsWith('.') && terms.flat().filter((other) => other === label).length === 1).sort()
  const [before, after = ''] = (given ?? '').split('...') as [string, string | undefined]
  const result = given === undefined ? [...dots, ...once] : [...before, ...(given.includes('...') ? dots : []), ...after]
  const dims = result.map((label) => sizes.get(label)!)
  const sums = new Float64Array(dims.reduce((product, dim) => product * dim, 1))
  const positions = terms.map((labels) => labels.map((label) => all.indexOf(label)))
  const targets = result.map((label) => all.indexOf(label))
  each(
    all.map((label) => sizes.get(label)!),
    (index) => {
      const product = operands.reduce(
        (total, operand, i) =>
          total *
          at(
            operand,
            positions[i]!.map((axis) => index[axis]!),
          ),
        1,
      )
      const to = targets.reduce((flat, axis, i) => flat * dims[i]! + index[axis]!, 0)
      sums[to] = sums[to]! + product
    },
  )
  return { kind: operands[0]!.kind, dims, data: sums }
}

export const linear: Family = {
  MatMul: ([a, b]) => matmul(a!, b!),
  Gemm([a, b, c], node) {
    const left = int(node, 'transA', 0) ? transpose(a!, [1, 0]) : a!
    const right = int(node, 'transB', 0) ? transpose(b!, [1, 0]) : b!
    const [alpha, beta] = [float(node, 'alpha', 1), float(node, 'beta', 1)]
    const product = map(matmul(left, right), (value) => value * alpha)
    return c === undefined ? product : zip(product, c, (p, bias) => p + beta * bias)
  },
  Einsum: (operands, node) => einsum(text(node, 'equation', ''), operands),
}
