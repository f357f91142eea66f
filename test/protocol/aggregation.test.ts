// The rules against values computed with other projects' code, and the promises that make them worth running.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { parseRule } from '../../protocol/aggregation/index.ts'
import { BLOCK } from '../../protocol/aggregation/rows.ts'
import { isMurmurError } from '../../protocol/errors.ts'

interface Entry {
  rule: string
  params: { f?: number; b?: number }
  src: string
  out: number[]
}

interface Case {
  name: string
  f: number
  X: number[][]
  aggregators: Entry[]
  pipelines: Entry[]
  decentralised: Entry[]
}

const { cases } = JSON.parse(readFileSync(new URL('./aggregation-vectors.json', import.meta.url), 'utf8')) as { cases: Case[] }

/** Rules of the vectors that are also ours. */
const OURS: Record<string, string> = {
  Average: 'mean',
  TrMean: 'trimmed-mean',
  EpfmlTM: 'trimmed-mean',
  Median: 'median',
  EpfmlCM: 'median',
  'NNM>Average': 'nnm | mean',
  'NNM>TrMean': 'nnm | trimmed-mean',
  'NNM>Median': 'nnm | median',
}
const ALL = [...new Set(Object.values(OURS))]
const ROBUST = ALL.filter((rule) => !rule.endsWith('mean') || rule.endsWith('trimmed-mean'))

const far = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!) / Math.max(1, Math.abs(b[i]!))))

t.test('agrees with the published implementations to 1e-9 in float64 and to 1e-6 in float32', (t) => {
  let checked = 0
  for (const { name, f, X, aggregators, pipelines, decentralised } of cases) {
    for (const entry of [...aggregators, ...pipelines, ...decentralised]) {
      const text = OURS[entry.rule]
      if (text === undefined) continue
      checked++
      const rule = parseRule(text)
      const wide = rule.run({ vectors: X.map((row) => Float64Array.from(row)), own: 0, f: entry.params.f ?? entry.params.b ?? f })
      t.ok(wide.output instanceof Float64Array)
      t.ok(far(wide.output, entry.out) <= 1e-9, `${name} ${entry.rule} ${entry.src}`)
      const narrow = rule.run({ vectors: X.map((row) => Float32Array.from(row)), own: 0, f: entry.params.f ?? entry.params.b ?? f })
      t.ok(narrow.output instanceof Float32Array)
      t.ok(far(narrow.output, entry.out) <= 1e-6, `${name} ${entry.rule} ${entry.src} in float32`)
    }
  }
  t.equal(checked, cases.length * Object.keys(OURS).length)
  t.end()
})

/** n vectors of d values and f attackers that the rule bears. */
const rounds = (value: fc.Arbitrary<number>) =>
  fc
    .record({ f: fc.integer({ min: 0, max: 3 }), more: fc.integer({ min: 0, max: 4 }), d: fc.integer({ min: 1, max: 7 }) })
    .chain(({ f, more, d }) => {
      const n = 2 * f + 1 + more
      const vector = fc.array(value, { minLength: d, maxLength: d }).map((values) => Float64Array.from(values))
      return fc.record({
        f: fc.constant(f),
        own: fc.integer({ min: 0, max: n - 1 }),
        shared: fc.integer({ min: 0, max: d }),
        vectors: fc.array(vector, { minLength: n, maxLength: n }),
      })
    })

/** Values that are often equal, so that ties occur. */
const grid = fc.integer({ min: -3, max: 3 })
const real = fc.double({ min: -1e3, max: 1e3, noNaN: true })

t.test('weights are shares: none negative, together 1, an input is kept where its weight is not 0', (t) => {
  fc.assert(
    fc.property(rounds(fc.oneof(grid, real)), fc.constantFrom(...ALL), ({ vectors, own, f, shared }, text) => {
      const { inputs } = parseRule(text).run({ vectors, own, f, shared })
      const total = inputs.reduce((sum, { weight }) => sum + weight, 0)
      return Math.abs(total - 1) < 1e-12 && inputs.every(({ weight, kept, why }) => weight >= 0 && kept === weight > 0 && why !== '')
    }),
  )
  t.end()
})

t.test('the weights reproduce the output where no coordinate differs from another', (t) => {
  // One coordinate: there a weight is exactly the factor of its input. Ties share theirs, which leaves the sum as it is.
  fc.assert(
    fc.property(rounds(fc.oneof(grid, real)), fc.constantFrom(...ALL), ({ vectors, own, f }, text) => {
      const scalars = vectors.map((vector) => vector.slice(0, 1))
      const { output, inputs } = parseRule(text).run({ vectors: scalars, own, f })
      const sum = inputs.reduce((total, { weight }, i) => total + weight * scalars[i]![0]!, 0)
      return Math.abs(sum - output[0]!) < 1e-9
    }),
  )
  t.end()
})

t.test('the order of the inputs changes neither output nor audit', (t) => {
  fc.assert(
    fc.property(rounds(real), fc.constantFrom(...ALL), fc.infiniteStream(fc.nat()), ({ vectors, own, f }, text, stream) => {
      const keys = vectors.map(() => stream.next().value as number)
      const order = vectors.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]!)
      // Equally near neighbours are told apart by their order, which is the one exception.
      fc.pre(!text.startsWith('nnm') || distancesDiffer(vectors))
      const rule = parseRule(text)
      const before = rule.run({ vectors, own, f })
      const after = rule.run({ vectors: order.map((i) => vectors[i]!), own: order.indexOf(own), f })
      return (
        far(after.output, before.output) < 1e-9 &&
        order.every((i, at) => Math.abs(before.inputs[i]!.weight - after.inputs[at]!.weight) < 1e-12) &&
        order.every((i, at) => Math.abs(before.inputs[i]!.distance - after.inputs[at]!.distance) < 1e-9)
      )
    }),
  )
  t.end()
})

function distancesDiffer(vectors: readonly Float64Array[]): boolean {
  return vectors.every((a) => {
    const sorted = vectors.map((b) => Math.hypot(...a.map((x, c) => x - b[c]!))).sort((x, y) => x - y)
    return sorted.every((x, i) => i === 0 || x - sorted[i - 1]! > 1e-6)
  })
}

t.test('f attackers cannot move trimmed mean and median out of the honest range of any coordinate', (t) => {
  const evil = fc.constantFrom(1e15, -1e15, 1e-300, 0, 5, -5, 1000)
  fc.assert(
    fc.property(
      rounds(real),
      fc.constantFrom('trimmed-mean', 'median'),
      fc.array(evil, { minLength: 21, maxLength: 21 }),
      (round, text, forged) => {
        const { vectors, f } = round
        const honest = vectors.slice(0, vectors.length - f)
        const attackers = vectors.slice(honest.length).map((vector, i) => vector.map((_, c) => forged[i * 7 + c]!))
        const { output } = parseRule(text).run({ vectors: [...honest, ...attackers], own: 0, f })
        return output.every((x, c) => {
          const column = honest.map((vector) => vector[c]!)
          return x >= Math.min(...column) - 1e-9 && x <= Math.max(...column) + 1e-9
        })
      },
    ),
  )
  t.end()
})

t.test('nnm keeps f far attackers out of the honest range as well', (t) => {
  fc.assert(
    fc.property(rounds(real), fc.constantFrom('nnm | trimmed-mean', 'nnm | median'), fc.boolean(), ({ vectors, f }, text, up) => {
      const honest = vectors.slice(0, vectors.length - f)
      fc.pre(honest.length > 2 * f)
      const attackers = vectors.slice(honest.length).map((vector) => vector.map(() => (up ? 1e15 : -1e15)))
      const { output } = parseRule(text).run({ vectors: [...honest, ...attackers], own: 0, f })
      return output.every((x, c) => {
        const column = honest.map((vector) => vector[c]!)
        return x >= Math.min(...column) - 1e-9 && x <= Math.max(...column) + 1e-9
      })
    }),
  )
  t.end()
})

t.test('moving every input moves the output alike', (t) => {
  fc.assert(
    fc.property(rounds(real), fc.constantFrom(...ALL), real, ({ vectors, own, f }, text, by) => {
      fc.pre(!text.startsWith('nnm') || distancesDiffer(vectors))
      const rule = parseRule(text)
      const { output } = rule.run({ vectors, own, f })
      const moved = rule.run({ vectors: vectors.map((vector) => vector.map((x) => x + by)), own, f })
      return (
        far(
          moved.output,
          output.map((x) => x + by),
        ) < 1e-9
      )
    }),
  )
  t.end()
})

t.test('a lone vector with no attackers to withstand comes back as it is', (t) => {
  for (const text of ALL) {
    const vector = Float32Array.of(1, -2.5, 3e7)
    const { output, inputs } = parseRule(text).run({ vectors: [vector], own: 0, f: 0 })
    t.same([...output], [...vector], text)
    t.not(output, vector, 'in memory of its own')
    t.match(inputs, [{ weight: 1, distance: 0, kept: true }])
  }
  t.end()
})

t.test('refuses fewer inputs than it needs to be safe, and says how many it needs', (t) => {
  for (const text of [...ROBUST, 'nnm | mean']) {
    const rule = parseRule(text)
    t.equal(rule.minInputs(2), 5)
    const vectors = [1, 2, 3, 4].map((x) => Float32Array.of(x))
    t.throws(() => rule.run({ vectors, own: 0, f: 2 }), { code: 'too-few-inputs', message: /at least 5 .* 2 attackers, but has 4/ }, text)
    t.doesNotThrow(() => rule.run({ vectors: [...vectors, Float32Array.of(5)], own: 0, f: 2 }))
  }
  t.throws(() => parseRule('mean').run({ vectors: [], own: 0, f: 0 }), { code: 'too-few-inputs' })
  t.equal(parseRule('mean').minInputs(5), 1, 'the mean is the undefended baseline')
  t.end()
})

t.test('refuses arguments that make no sense', (t) => {
  const rule = parseRule('median')
  const vectors = [Float32Array.of(1, 2), Float32Array.of(3)]
  t.throws(() => rule.run({ vectors, own: 0, f: 0 }), { code: 'bad-argument', message: /2 and of 1/ })
  t.throws(() => rule.run({ vectors: vectors.slice(1), own: 1, f: 0 }), { code: 'bad-argument' })
  t.throws(() => rule.run({ vectors: vectors.slice(1), own: 0, f: 0.5 }), { code: 'bad-argument' })
  t.throws(() => rule.run({ vectors: vectors.slice(1), own: 0, f: -1 }), { code: 'bad-argument' })
  t.throws(() => rule.run({ vectors: vectors.slice(1), own: 0, f: 0, shared: 2 }), { code: 'bad-argument' })
  t.end()
})

t.test('distances see only the shared part', (t) => {
  const vectors = [Float32Array.of(0, 0, 100), Float32Array.of(3, 4, -100), Float32Array.of(0, 0, 7)]
  for (const text of ALL) {
    const { inputs } = parseRule(text).run({ vectors, own: 0, f: 0, shared: 2 })
    t.same(
      inputs.map(({ distance }) => distance),
      [0, 5, 0],
      text,
    )
  }
  const near = parseRule('nnm | mean').run({ vectors, own: 0, f: 1, shared: 2 })
  t.match(near.inputs[1], { weight: 1 / 6, kept: true, why: 'not a nearest neighbour of any other' })
  t.end()
})

t.test('equally near neighbours: the lowest index wins', (t) => {
  const vectors = [0, 1, -1].map((x) => Float64Array.of(x))
  const { output, inputs } = parseRule('nnm | mean').run({ vectors, own: 0, f: 1 })
  // 0 mixes with 1, not with -1; 1 and -1 mix with 0.
  t.ok(Math.abs(output[0]! - (0.5 + 0.5 - 0.5) / 3) < 1e-12)
  t.ok(
    far(
      Float64Array.from(inputs, ({ weight }) => weight),
      [3 / 6, 2 / 6, 1 / 6],
    ) < 1e-12,
  )
  t.end()
})

t.test('says in words what became of an input', (t) => {
  const vectors = [0, 1, 2, 3, 100].map((x) => Float64Array.of(x, x))
  const whys = (text: string) =>
    parseRule(text)
      .run({ vectors, own: 0, f: 1 })
      .inputs.map(({ why }) => why)
  t.same(whys('mean'), Array(5).fill('averaged'))
  t.same(whys('trimmed-mean'), ['trimmed', 'averaged', 'averaged', 'averaged', 'trimmed'])
  t.same(whys('median'), [
    'never in the middle',
    'never in the middle',
    'often in the middle',
    'never in the middle',
    'never in the middle',
  ])
  t.equal(whys('nnm | trimmed-mean')[4], 'not a nearest neighbour of any other')
  t.end()
})

t.test('gives the same result whether a vector ends within a block, at its end or after it', (t) => {
  // A long vector is many short ones side by side, for rules that look at one coordinate at a time.
  const value = (i: number, c: number) => Math.fround(Math.sin(i * 7.3 + c * c * 0.11))
  for (const d of [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3]) {
    const vectors = Array.from({ length: 7 }, (_, i) => Float32Array.from({ length: d }, (_, c) => value(i, c)))
    for (const text of ['mean', 'trimmed-mean', 'median']) {
      const rule = parseRule(text)
      const { output, inputs } = rule.run({ vectors, own: 0, f: 2 })
      const each = Array.from({ length: d }, (_, c) => rule.run({ vectors: vectors.map((v) => v.subarray(c, c + 1)), own: 0, f: 2 }))
      t.same(
        [...output],
        each.map((one) => one.output[0]),
        `${text} over ${d}`,
      )
      const squares = each.reduce((sum, one) => sum + one.inputs[3]!.distance ** 2, 0)
      t.ok(Math.abs(inputs[3]!.distance - Math.sqrt(squares)) < 1e-9)
    }
    const mixed = parseRule('nnm | mean').run({ vectors, own: 0, f: 0 })
    t.ok(far(mixed.output, parseRule('mean').run({ vectors, own: 0, f: 0 }).output) < 1e-6, 'nnm with f = 0 is the mean of all')
  }
  t.end()
})

t.test('leaves the inputs as they are', (t) => {
  for (const text of ALL) {
    const vectors = [5, 1, 4, 2, 3].map((x) => Float32Array.of(x, -x))
    parseRule(text).run({ vectors, own: 2, f: 1 })
    t.same(
      vectors.map((vector) => [...vector]),
      [5, 1, 4, 2, 3].map((x) => [x, -x]),
    )
  }
  t.end()
})

t.test('parses rules to a canonical text', (t) => {
  t.equal(parseRule('  nnm|trimmed-mean ').text, 'nnm | trimmed-mean')
  t.equal(parseRule('median()').text, 'median')
  t.equal(parseRule('nnm | nnm | mean').text, 'nnm | nnm | mean')
  t.end()
})

t.test('refuses what it does not know, saying what it does know', (t) => {
  const refused: [string, RegExp][] = [
    ['krum', /"krum" is not a known aggregation rule; known are: mean, trimmed-mean, median\./],
    ['nnm', /"nnm" is not a known aggregation rule/],
    ['mean | median', /"mean" is not a known pre-aggregation; known are: nnm\./],
    ['toString', /form/],
    ['constructor', /"constructor" is not a known aggregation rule/],
    ['mean(a=1)', /"mean" has no parameter "a"; it takes none\./],
    ['nnm(k=3, f=1e2) | mean', /"nnm" has no parameter "k"/],
    ['mean(a)', /"a" of "mean" .* key=number/],
    ['mean(a=1e999)', /key=number/],
    ['mean(a=1, a=2)', /given twice/],
    ['', /form/],
    ['mean |', /form/],
    ['Mean', /form/],
    ['mean(', /form/],
    ['mean\u001b[2J', /\\u001b/],
    [`mean${' '.repeat(260)}`, /264 characters; at most 256/],
    ['nnm|nnm|nnm|nnm|mean', /5 stages; at most 4/],
  ]
  for (const [text, message] of refused) t.throws(() => parseRule(text), { code: 'task-invalid', message }, JSON.stringify(text))
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
      try {
        return parseRule(text).text.length > 0
      } catch (error) {
        return isMurmurError(error, 'task-invalid')
      }
    }),
  )
  t.end()
})
