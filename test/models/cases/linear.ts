// Gradient cases: products of matrices and tensors, and softmax.
import fc from 'fast-check'
import { batched, type Case, literal, still, whole } from './case.ts'

const gemms = [0, 1].flatMap((transA) =>
  [0, 1].map((transB) =>
    batched(`Gemm transA ${transA} transB ${transB}`, [5], ({ b, weight }, x) => {
      const a = transA ? b.op('Transpose', [x]) : x
      const w = weight('w', transB ? [3, 5] : [5, 3])
      return b.op('Gemm', [a, w, weight('c', [3])], { ...whole({ transA, transB }), alpha: { float: 0.5 }, beta: { float: 2 } })
    }),
  ),
)

/** Equations with the shapes of their operands. */
const EQUATIONS: [equation: string, ...shapes: number[][]][] = [
  ['ij,jk->ik', [2, 3], [3, 4]],
  ['ij,jk', [2, 3], [3, 4]],
  ['ij,kj->ik', [2, 3], [4, 3]],
  ['ij->ji', [2, 3]],
  ['ij->', [2, 3]],
  ['ij->j', [2, 3]],
  ['ij', [2, 3]],
  ['ba', [2, 3]],
  ['i,i->', [4], [4]],
  ['i,j->ij', [2], [3]],
  ['i,j->ji', [2], [3]],
  ['bhid,bhjd->bhij', [2, 2, 3, 2], [2, 2, 4, 2]],
  ['bhij,bhjd->bhid', [2, 2, 3, 4], [2, 2, 4, 2]],
  ['bihd,bjhd->bhij', [2, 3, 2, 2], [2, 4, 2, 2]],
  ['bij,jk->bik', [2, 3, 4], [4, 2]],
  ['bn,anm,bm->ba', [2, 3], [2, 3, 4], [2, 4]],
  ['...ij,...jk->...ik', [2, 2, 3], [2, 3, 2]],
  ['...ij,jk->...ik', [2, 2, 3], [3, 2]],
  ['...ij,...jk->...ik', [3, 1, 2, 3], [1, 2, 3, 2]],
  ['i...,i...->...', [2, 3], [2, 3]],
  ['...i,...i', [2, 3], [2, 3]],
  ['ij,ij->ij', [2, 3], [2, 3]],
  ['ij,ij->', [2, 3], [2, 3]],
  ['ij,k->i', [2, 3], [4]],
]

const einsums = EQUATIONS.map(([equation, ...shapes]) =>
  still(`Einsum ${equation} of ${JSON.stringify(shapes)}`, ({ b, weight }) =>
    b.op(
      'Einsum',
      shapes.map((dims, i) => weight(`w${i}`, dims)),
      whole({ equation }),
    ),
  ),
)

export const LINEAR: Case[] = [
  batched('MatMul by a matrix', [5], ({ b, weight }, x) => b.op('MatMul', [x, weight('w', [5, 3])])),
  batched('MatMul of rows by a matrix', [2, 5], ({ b, weight }, x) => b.op('MatMul', [x, weight('w', [5, 3])])),
  batched('MatMul of batches', [2, 5], ({ b, weight }, x) => b.op('MatMul', [x, weight('w', [1, 5, 3])])),
  batched('MatMul by the input', [5, 2], ({ b, weight }, x) => b.op('MatMul', [weight('w', [3, 5]), x])),
  batched('MatMul of the input by itself', [3, 2], ({ b }, x) => b.op('MatMul', [x, b.op('Transpose', [x], whole({ perm: [0, 2, 1] }))])),
  batched('MatMul by a weight and by its transpose', [5], ({ b, weight }, x) => {
    const hidden = b.op('MatMul', [x, weight('w', [5, 3])])
    return b.op('MatMul', [b.op('Tanh', [hidden]), b.op('Transpose', ['w'])])
  }),
  batched('attention between the samples of a batch', [4], ({ b }, x) => {
    const scores = b.op('MatMul', [x, b.op('Transpose', [x])])
    return b.op('MatMul', [b.op('Softmax', [scores]), x])
  }),
  batched('MatMul by a vector', [2, 5], ({ b, weight }, x) => b.op('MatMul', [x, weight('w', [5])])),
  batched('MatMul of a vector by the input', [5, 2], ({ b, weight }, x) => b.op('MatMul', [weight('w', [5]), x])),
  still('MatMul of two vectors', ({ b, weight }) => b.op('MatMul', [weight('v', [5]), weight('w', [5])])),
  still('MatMul of batches that both broadcast', ({ b, weight }) => b.op('MatMul', [weight('v', [3, 1, 2, 4]), weight('w', [2, 4, 3])])),
  ...gemms,
  batched('Gemm without a bias', [5], ({ b, weight }, x) => b.op('Gemm', [x, weight('w', [5, 3])])),
  batched('Gemm with one number as bias', [5], ({ b, weight }, x) => b.op('Gemm', [x, weight('w', [5, 3]), weight('c', [1])])),
  still('Gemm with a bias for each row', ({ b, weight }) => b.op('Gemm', [weight('v', [2, 5]), weight('w', [5, 3]), weight('c', [2, 1])])),
  still('Gemm with a bias for each number', ({ b, weight }) =>
    b.op('Gemm', [weight('v', [2, 5]), weight('w', [5, 3]), weight('c', [2, 3])]),
  ),
  ...einsums,
  batched('Einsum of the input', [3, 4], ({ b, weight }, x) =>
    b.op('Einsum', [x, weight('w', [4, 2])], whole({ equation: 'bij,jk->bik' })),
  ),
  ...['Softmax', 'LogSoftmax'].flatMap((name) => [
    batched(`${name} in the middle`, [3, 4], ({ b }, x) => b.op(name, [x])),
    batched(`${name} far from zero`, [3, 4], (parts, x) => parts.b.op(name, [parts.b.op('Mul', [x, literal(parts, 30)])])),
    batched(`${name} over axis 1`, [3, 4], ({ b }, x) => b.op(name, [x], whole({ axis: 1 }))),
    batched(`${name} over axis -3 of four`, [3, 2, 2], ({ b }, x) => b.op(name, [x], whole({ axis: -3 }))),
  ]),
]

const size = fc.integer({ min: 1, max: 4 })

export const anyMatMul: fc.Arbitrary<Case> = fc
  .record({
    lead: fc.array(size, { maxLength: 2 }),
    ones: fc.tuple(fc.nat(3), fc.nat(3)),
    dropped: fc.tuple(fc.nat(2), fc.nat(2)),
    sides: fc.tuple(size, size, size),
    vectors: fc.constantFrom([false, false], [false, false], [true, false], [false, true], [true, true]),
  })
  .map(({ lead, ones, dropped, sides: [rows, inner, columns], vectors }) => {
    // Each operand's own leading axes: some set to 1, some left out.
    const [left, right] = [0, 1].map((i) => lead.map((dim, axis) => ((ones[i]! >> axis) & 1 ? 1 : dim)).slice(dropped[i]!)) as [
      number[],
      number[],
    ]
    const v = vectors[0] ? [inner] : [...left, rows, inner]
    const w = vectors[1] ? [inner] : [...right, inner, columns]
    return still(`MatMul of [${v}] and [${w}]`, ({ b, weight }) => b.op('MatMul', [weight('v', v), weight('w', w)]))
  })

/** Two operands on up to four labels, and a result of some of them. */
export const anyEinsum: fc.Arbitrary<Case> = fc
  .record({
    left: fc.subarray([...'abcd'], { minLength: 1 }),
    right: fc.subarray([...'abcd'], { minLength: 1 }),
    order: fc.tuple(fc.nat(), fc.nat(), fc.nat()),
    kept: fc.nat(15),
    sizes: fc.record({ a: size, b: size, c: size, d: size }),
  })
  .map(({ left, right, order, kept, sizes }) => {
    const turned = (labels: string[], by: number) => labels.map((_, i) => labels[(i + by) % labels.length]!)
    const [v, w] = [turned(left, order[0]), turned(right, order[1])]
    const all = [...new Set([...v, ...w])].sort().filter((_, i) => (kept >> i) & 1)
    const equation = `${v.join('')},${w.join('')}->${turned(all, order[2]).join('')}`
    const dims = (labels: string[]) => labels.map((label) => sizes[label as keyof typeof sizes])
    return still(`Einsum ${equation} of [${dims(v)}] and [${dims(w)}]`, ({ b, weight }) =>
      b.op('Einsum', [weight('v', dims(v)), weight('w', dims(w))], whole({ equation })),
    )
  })

export const anySoftmax: fc.Arbitrary<Case> = fc
  .record({
    op: fc.constantFrom('Softmax', 'LogSoftmax'),
    dims: fc.array(size, { minLength: 1, maxLength: 4 }),
    axis: fc.nat(3),
    back: fc.boolean(),
  })
  .map(({ op, dims, axis, back }) => {
    const given = (axis % dims.length) - (back ? dims.length : 0)
    return still(`${op} of [${dims}] over axis ${given}`, ({ b, weight }) => b.op(op, [weight('w', dims)], whole({ axis: given })))
  })
