// Gradients where there is no derivative: what PyTorch defines there. Differences cannot tell, so these are written out.
import t from 'tap'
import { floatTensor } from '../../models/graph.ts'
import { splitWeights } from '../../models/index.ts'
import { given, literal, toClasses, whole } from './cases/case.ts'
import { buildModel, type Parts, train } from './helpers.ts'

type Numbers = readonly number[]

interface Kink {
  name: string
  /** Trainable vectors, `a` first. */
  values: Record<string, Numbers>
  build(parts: Parts): string
  /** The gradient of each vector, from that of the result. */
  expected(g: Numbers): Record<string, Numbers>
}

/** Gradients of all weights of one step, and of the result, which is that of zeros added to it. */
async function gradients({ values, build }: Kink, width: number): Promise<Map<string, number[]>> {
  const model = buildModel([width], (parts, input) => {
    const { b } = parts
    for (const [name, list] of Object.entries(values)) given(parts, list, name)
    b.constants.set('result', floatTensor(new Float32Array(width), [width]))
    const row = b.op('Add', [b.op('Reshape', [build(parts), b.ints([-1])]), 'result'])
    return toClasses(parts, b.op('Mul', [input, row]), width)
  })
  const { layout, params } = splitWeights(model)
  const x = Float32Array.from({ length: width }, (_, i) => 1 + i / 4)
  const { params: after } = await train(model, { x, y: Int32Array.of(0), shape: [width] }, [[0]])
  return new Map(
    layout.map(({ name, offset, shape }) => {
      const size = shape.reduce((product, dim) => product * dim, 1)
      return [name, Array.from({ length: size }, (_, i) => params[offset + i]! - after[offset + i]!)]
    }),
  )
}

const zero = (name: string, passed = 0): Kink => ({
  name: `${name} at 0`,
  values: { a: [0, 0] },
  build: ({ b }) => b.op(name, ['a']),
  expected: (g) => ({ a: g.map((value) => passed * value) }),
})

const KINKS: [kink: Kink, width: number][] = [
  [zero('Relu'), 2],
  [zero('Abs'), 2],
  [
    {
      name: 'Clip at its bounds',
      values: { a: [-1, 2] },
      build: (parts) => parts.b.op('Clip', ['a', literal(parts, -1), literal(parts, 2)]),
      expected: (g) => ({ a: g }),
    },
    2,
  ],
  ...['Max', 'Min'].map((name): [Kink, number] => [
    {
      name: `${name} of two that are equal`,
      values: { a: [3, 1], c: [3, 1] },
      build: ({ b }) => b.op(name, ['a', 'c']),
      expected: (g) => ({ a: g.map((value) => value / 2), c: g.map((value) => value / 2) }),
    },
    2,
  ]),
  ...[
    ['ReduceMax', 4],
    ['ReduceMin', -4],
  ].map(([name, tied]): [Kink, number] => [
    {
      name: `${name} with two extremes`,
      values: { a: [Number(tied), 0, Number(tied)] },
      build: ({ b }) => b.op(String(name), ['a']),
      expected: ([g]) => ({ a: [g! / 2, 0, g! / 2] }),
    },
    1,
  ]),
  [
    {
      name: 'ReduceL2 of zeros',
      values: { a: [0, 0] },
      build: ({ b }) => b.op('ReduceL2', ['a']),
      expected: () => ({ a: [0, 0] }),
    },
    1,
  ],
  [
    {
      name: 'ReduceL1 at 0',
      values: { a: [0, 2] },
      build: ({ b }) => b.op('ReduceL1', ['a']),
      expected: ([g]) => ({ a: [0, g!] }),
    },
    1,
  ],
  [
    {
      name: 'an overlapping MaxPool, whose first maximum takes all',
      values: { a: [5, 5, 5, 1] },
      build: ({ b }) => b.op('MaxPool', [b.op('Reshape', ['a', b.ints([1, 1, 1, 4])])], whole({ kernel_shape: [1, 2] })),
      expected: ([g, h, i]) => ({ a: [g!, h!, i!, 0] }),
    },
    3,
  ],
]

for (const [kink, width] of KINKS) {
  t.test(`${kink.name}: the gradient is PyTorch's`, async (t) => {
    const found = await gradients(kink, width)
    const g = found.get('result')!
    t.ok(g.every((value) => value !== 0))
    for (const [name, expected] of Object.entries(kink.expected(g))) {
      const error = found.get(name)!.map((value, i) => Math.abs(value - expected[i]!))
      t.ok(Math.max(...error) < 1e-6, `${name}: ${found.get(name)}, expected ${expected}`)
    }
  })
}
