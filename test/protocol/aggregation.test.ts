// The promises that make rules worth running. What other projects' code computes is in aggregation-vectors.test.ts.
import fc from 'fast-check'
import t from 'tap'
import { RULE_HELP } from '../../protocol/aggregation/help.ts'
import { parseLabRule, parseRule } from '../../protocol/aggregation/index.ts'
import { BLOCK } from '../../protocol/aggregation/rows.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { createPrng } from '../../protocol/prng.ts'
import { far } from '../helpers/far.ts'

/** Rules that look at one coordinate at a time. */
const COORDINATE = ['mean', 'trimmed-mean', 'median', 'meamed']
/** Rules whose output is one weighted sum of the inputs. */
const LINEAR = [
  'geometric-median',
  'krum',
  'multi-krum',
  'multi-krum(m=2, neighbours=n-f-1)',
  'clipped-gossip',
  'clipped-gossip(tau=1)',
  'cs+',
  'nna',
  'nnm | mean',
  'nnm | multi-krum',
  'nnm | cs+',
  'bucketing(2) | mean',
  'bucketing(3) | geometric-median',
  'mda',
  'caf',
  'centered-clipping(tau=1)',
  'ios',
  'balance',
]
const MIXED = ['nnm | trimmed-mean', 'nnm | median', 'bucketing(2) | trimmed-mean', 'bucketing | nnm | median', 'bulyan']
/** What is clipped to the origin leaves less than the whole. */
const CLIPPING = [
  'clip(2) | mean',
  'clip(2) | nnm | trimmed-mean',
  'nnm | clip(c=0.5) | median',
  'arc | nnm | trimmed-mean',
  'centered-clipping(tau=1, L=3, start=origin)',
]
const ALL = [...COORDINATE, ...LINEAR, ...MIXED, ...CLIPPING]
/** Held by whatever else there is: mean bears no attacker, balance has no f, and clipping alone bounds only lengths. */
const ROBUST = [...COORDINATE, ...LINEAR, ...MIXED].filter((text) => text !== 'mean' && text !== 'balance' && !text.endsWith('| mean'))
const TASKS = ['mean', 'trimmed-mean', 'median', 'geometric-median', 'krum', 'multi-krum', 'clipped-gossip', 'cs+', 'nna']

/** One of the rules, and n vectors of d values of which it bears f to be attackers'. */
const rounds = (texts: readonly string[], value: fc.Arbitrary<number>) =>
  fc
    .record({
      text: fc.constantFrom(...texts),
      f: fc.integer({ min: 0, max: 3 }),
      more: fc.integer({ min: 0, max: 4 }),
      d: fc.integer({ min: 1, max: 7 }),
    })
    .chain(({ text, f, more, d }) => {
      const n = parseLabRule(text).minInputs(f) + more
      const vector = fc.array(value, { minLength: d, maxLength: d }).map((values) => Float64Array.from(values))
      return fc.record({
        text: fc.constant(text),
        f: fc.constant(f),
        own: fc.integer({ min: 0, max: n - 1 }),
        shared: fc.integer({ min: 0, max: d }),
        vectors: fc.array(vector, { minLength: n, maxLength: n }),
      })
    })

/** As `rounds`, of normal values: no two distances are equal. */
const normal = (texts: readonly string[]) =>
  rounds(texts, fc.constant(0)).chain(({ vectors, ...round }) =>
    fc.nat().map((seed) => {
      const prng = createPrng(seed)
      return { ...round, seed, vectors: vectors.map((vector) => vector.map(() => 10 * prng.normal())) }
    }),
  )

/** Values that are often equal, so that ties occur. */
const grid = fc.integer({ min: -3, max: 3 })
const real = fc.double({ min: -1e3, max: 1e3, noNaN: true })

t.test('weights are shares: none negative, together 1, an input is kept where its weight is not 0', (t) => {
  fc.assert(
    fc.property(rounds(ALL, fc.oneof(grid, real)), ({ text, ...round }) => {
      const { inputs } = parseLabRule(text).run(round)
      const total = inputs.reduce((sum, { weight }) => sum + weight, 0)
      const whole = CLIPPING.includes(text) ? total < 1 + 1e-12 : Math.abs(total - 1) < 1e-12
      return whole && inputs.every(({ weight, kept, why }) => weight >= 0 && kept === weight > 0 && why !== '')
    }),
    { numRuns: 400 },
  )
  t.end()
})

t.test('the weights reproduce the output', (t) => {
  const sumOf = (inputs: { weight: number }[], vectors: Float64Array[]) =>
    vectors[0]!.map((_, c) => inputs.reduce((total, { weight }, i) => total + weight * vectors[i]![c]!, 0))
  fc.assert(
    fc.property(rounds(LINEAR, fc.oneof(grid, real)), ({ text, ...round }) => {
      const { output, inputs } = parseLabRule(text).run(round)
      return far(output, sumOf(inputs, round.vectors)) < 1e-9
    }),
    { numRuns: 300 },
  )
  // One coordinate: there a weight is exactly the factor of its input, for any rule. Ties share theirs, which leaves the sum as it is.
  fc.assert(
    fc.property(rounds(ALL, fc.oneof(grid, real)), ({ text, vectors, own, f }) => {
      const scalars = vectors.map((vector) => vector.slice(0, 1))
      const { output, inputs } = parseLabRule(text).run({ vectors: scalars, own, f })
      return far(output, sumOf(inputs, scalars)) < 1e-9
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('the audit says how much was clipped and trimmed', (t) => {
  const vectors = [0, 1, 2, 10, -1].map((x) => Float64Array.of(x, x, x, x))
  const audit = (text: string) => parseLabRule(text).run({ vectors, own: 0, f: 1 }).inputs
  t.match(audit('trimmed-mean'), [{ trimmed: 0 }, { trimmed: 0 }, { trimmed: 0 }, { trimmed: 1 }, { trimmed: 1 }])
  t.match(audit('clipped-gossip(tau=4)'), [{ clip: 1 }, { clip: 1 }, { clip: 1 }, { clip: 0.2, why: 'averaged, clipped' }, { clip: 1 }])
  t.match(audit('clip(4) | trimmed-mean')[3], { clip: 0.2, trimmed: 0.5, why: 'averaged, clipped' })
  t.match(
    audit('cs+').map(({ clip }) => clip),
    [1, 1, 0.5, 0.1, 1],
    'no farther than the third nearest, the own 0 counted',
  )
  t.notOk('clip' in audit('mean')[0]! || 'trimmed' in audit('mean')[0]!, 'where no stage does either, nothing is said of it')
  t.end()
})

t.test('the order of the inputs changes neither output nor audit', (t) => {
  // But for draws, which go by order, and for what is equal by construction: a group's two farthest, two nearest to one another, two that
  // were clipped to the same length of one coordinate, two that nnm made the mean of the same vectors.
  const texts = ALL.filter((text) => !/bucketing|mda|bulyan|caf|clip\(|arc|nnm.*krum/.test(text))
  fc.assert(
    fc.property(normal(texts), ({ text, vectors, own, f, seed }) => {
      fc.pre(!text.includes('krum') || vectors.length > 2 * f + 3)
      const order = createPrng(`${seed} order`).shuffle(vectors.map((_, i) => i))
      const rule = parseLabRule(text)
      const before = rule.run({ vectors, own, f })
      const after = rule.run({ vectors: order.map((i) => vectors[i]!), own: order.indexOf(own), f })
      return (
        far(after.output, before.output) < 1e-9 &&
        order.every((i, at) => Math.abs(before.inputs[i]!.weight - after.inputs[at]!.weight) < 1e-9) &&
        order.every((i, at) => Math.abs(before.inputs[i]!.distance - after.inputs[at]!.distance) < 1e-9)
      )
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('f attackers cannot move trimmed mean and median out of the honest range of any coordinate', (t) => {
  const evil = fc.constantFrom(1e15, -1e15, 1e-300, 0, 5, -5, 1000)
  fc.assert(
    fc.property(
      rounds(['trimmed-mean', 'median', 'meamed'], real),
      fc.array(evil, { minLength: 21, maxLength: 21 }),
      ({ text, vectors, f }, forged) => {
        const honest = vectors.slice(0, vectors.length - f)
        const attackers = vectors.slice(honest.length).map((vector, i) => vector.map((_, c) => forged[i * 7 + c]!))
        const { output } = parseLabRule(text).run({ vectors: [...honest, ...attackers], own: 0, f })
        return text === 'meamed' ? output.every((x) => Math.abs(x) <= 4e3) : withinHonest(output, honest)
      },
    ),
  )
  t.end()
})

t.test('nnm keeps f far attackers out of the honest range as well', (t) => {
  fc.assert(
    fc.property(rounds(['nnm | trimmed-mean', 'nnm | median'], real), fc.boolean(), ({ text, vectors, f }, up) => {
      const honest = vectors.slice(0, vectors.length - f)
      fc.pre(honest.length > 2 * f)
      const attackers = vectors.slice(honest.length).map((vector) => vector.map(() => (up ? 1e15 : -1e15)))
      return withinHonest(parseRule(text).run({ vectors: [...honest, ...attackers], own: 0, f }).output, honest)
    }),
  )
  t.end()
})

function withinHonest(output: ArrayLike<number>, honest: readonly Float64Array[]): boolean {
  return Array.from(output).every((x, c) => {
    const column = honest.map((vector) => vector[c]!)
    return x >= Math.min(...column) - 1e-9 && x <= Math.max(...column) + 1e-9
  })
}

t.test('f far attackers, alone or in a group, keep no robust rule from staying among the honest', (t) => {
  fc.assert(
    fc.property(normal(ROBUST), fc.constantFrom(1e3, 1e6, 1e15), fc.boolean(), ({ text, vectors, own, f, seed }, size, together) => {
      const prng = createPrng(`${seed} attack`)
      const group = vectors[0]!.map(() => size * prng.normal())
      const honest = vectors.filter((_, i) => i < vectors.length - f)
      const attackers = Array.from({ length: f }, () => (together ? group : group.map(() => size * prng.normal())))
      const n = vectors.length
      // Mixes of attackers with honest ones are attackers to what follows: nnm needs more honest ones than it mixes.
      fc.pre(!text.includes('nnm') || n >= 4 * f + 1)
      const { output } = parseLabRule(text).run({ vectors: [...honest, ...attackers], own: own % honest.length, f })
      const center = group.map((_, c) => honest.reduce((sum, vector) => sum + vector[c]!, 0) / honest.length)
      const away = (vector: ArrayLike<number>) => Math.hypot(...center.map((x, c) => x - vector[c]!))
      // The geometric median's bound, 2 (n - f) / (n - 2f) times the radius of the honest, is the loosest of theirs.
      return away(output) <= 2 * n * Math.max(...honest.map(away)) + 2 * n
    }),
    { numRuns: 500 },
  )
  t.end()
})

t.test('moving every input moves the output alike', (t) => {
  // But for rules that look at the origin: where the geometric median starts, what is long, what is far in relation to one's length.
  const texts = ALL.filter((text) => !/geometric|clip\(|arc|origin|balance/.test(text))
  fc.assert(
    fc.property(normal(texts), real, ({ text, vectors, own, f }, by) => {
      const rule = parseLabRule(text)
      const { output } = rule.run({ vectors, own, f })
      const moved = rule.run({ vectors: vectors.map((vector) => vector.map((x) => x + by)), own, f })
      return (
        far(
          moved.output,
          output.map((x) => x + by),
        ) < 1e-8
      )
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('scaling every input scales the output alike', (t) => {
  const texts = ALL.filter((text) => !/geometric|clip\(|c=|tau=/.test(text))
  fc.assert(
    fc.property(normal(texts), fc.constantFrom(-1, 0.001, 3, 1e4), ({ text, vectors, own, f }, by) => {
      const rule = parseLabRule(text)
      const { output } = rule.run({ vectors, own, f })
      const scaled = rule.run({ vectors: vectors.map((vector) => vector.map((x) => x * by)), own, f })
      return (
        far(
          scaled.output,
          output.map((x) => x * by),
        ) < 1e-8
      )
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('float32 inputs give the float64 result of the same values, rounded, to 1e-6 of the largest value', (t) => {
  fc.assert(
    fc.property(normal(ALL), ({ text, vectors, own, f }) => {
      const narrow = vectors.map((vector) => Float32Array.from(vector))
      const rule = parseLabRule(text)
      const { output } = rule.run({ vectors: narrow, own, f })
      const { output: wide } = rule.run({ vectors: narrow.map((vector) => Float64Array.from(vector)), own, f })
      const largest = Math.max(...narrow.flatMap((vector) => [...vector].map(Math.abs)))
      return output instanceof Float32Array && output.every((x, c) => Math.abs(x - wide[c]!) <= 1e-6 * largest)
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('weights: what counts twice counts as two, what counts for nothing is not there', (t) => {
  const texts = ['mean', 'geometric-median', 'clipped-gossip(tau=1)', 'centered-clipping(tau=1)', 'clip(2) | mean']
  fc.assert(
    fc.property(normal(texts), ({ text, vectors, own, f, shared }) => {
      const rule = parseLabRule(text)
      const other = (own + 1) % vectors.length
      fc.pre(other !== own)
      const weights = vectors.map((_, i) => (i === other ? 2 : 1))
      const twice = rule.run({ vectors, own, f, shared, weights }).output
      return far(twice, rule.run({ vectors: [...vectors, vectors[other]!], own, f, shared }).output) < 1e-9
    }),
  )
  const vectors = [0, 1, 5, 100].map((x) => Float64Array.of(x))
  const weights = [1, 1, 2, 0]
  const { output, inputs } = parseRule('mean').run({ vectors, own: 0, f: 0, weights })
  t.equal(output[0], 2.75)
  t.match(inputs[3], { weight: 0, kept: false })
  const refused: [string, number[], RegExp][] = [
    ['mean', [1, 1, -2, 1], /Weight 2 is -2; weights must be finite and 0 or more/],
    ['mean', [1, 1, Number.NaN, 1], /Weight 2 is NaN/],
    ['mean', [1, 1, 1], /3 weights for 4 vectors/],
    ['mean', [0, 0, 0, 0], /sum to 0/],
    ['median', [1, 1, 1, 1], /"median" does not weigh its inputs/],
    ['nnm | mean', [1, 1, 1, 1], /"nnm \| mean" does not weigh its inputs/],
  ]
  for (const [text, weights, message] of refused) {
    t.throws(() => parseRule(text).run({ vectors, own: 0, f: 0, weights }), { code: 'bad-argument', message }, text)
  }
  t.end()
})

t.test('clipping by the practical threshold clips nothing where there is nobody to fear', (t) => {
  const vectors = [0, 1, 5, 100].map((x) => Float64Array.of(x))
  t.equal(parseRule('clipped-gossip').run({ vectors, own: 0, f: 0 }).output[0], 26.5)
  const weights = [4, 4, 1, 1]
  // f = 1 may weigh 0.4: the own 0.4 counts, with the next 0.4 it would be more than 0.6. So nothing may be far.
  t.equal(parseRule('clipped-gossip').run({ vectors, own: 0, f: 1, weights }).output[0], 0)
  t.end()
})

t.test('bucketing draws the same buckets for the same seed, others for another, and finds the own one', (t) => {
  const vectors = Array.from({ length: 9 }, (_, i) => Float64Array.of(2 ** i))
  const run = (seed: string) => parseRule('bucketing(2) | krum').run({ vectors, own: 3, f: 1, seed })
  t.same(run('a'), run('a'))
  const kept = (seed: string) => run(seed).inputs.map(({ kept }) => kept)
  t.ok(['b', 'c', 'd', 'e', 'f'].some((seed) => String(kept(seed)) !== String(kept('a'))))
  t.same(kept('a').filter(Boolean).length <= 2, true, 'krum selects one bucket')
  const { inputs } = parseRule('bucketing(2) | nna').run({ vectors, own: 3, f: 1 })
  t.ok(inputs[3]!.kept, 'the own bucket is nearest to itself')
  t.equal(parseRule('bucketing(2) | trimmed-mean').minInputs(2), 9, 'of 9, 5 buckets')
  t.end()
})

t.test('a lone vector with no attackers to withstand comes back as it is', (t) => {
  for (const text of ALL.filter((text) => parseLabRule(text).minInputs(0) === 1 && !CLIPPING.includes(text))) {
    const vector = Float32Array.of(1, -2.5, 3e7)
    const { output, inputs } = parseLabRule(text).run({ vectors: [vector], own: 0, f: 0 })
    t.same([...output], [...vector], text)
    t.not(output, vector, 'in memory of its own')
    t.match(inputs, [{ weight: 1, distance: 0, kept: true }])
  }
  t.end()
})

t.test('refuses fewer inputs than it needs to be safe, and says how many it needs', (t) => {
  const needs: Record<string, number> = {
    ...{ 'trimmed-mean': 5, median: 5, 'geometric-median': 5, krum: 7, 'multi-krum': 7, 'multi-krum(m=6)': 8, 'krum(neighbours=6)': 9 },
    ...{ 'clipped-gossip': 5, 'cs+': 5, nna: 5, 'nnm | mean': 5, 'nnm | krum': 7, 'clip(2) | median': 5, 'bucketing(3) | median': 13 },
    ...{ bulyan: 11, meamed: 5, mda: 5, caf: 5, 'centered-clipping': 5, ios: 5, 'arc | mean': 5 },
  }
  for (const [text, least] of Object.entries(needs)) {
    const rule = parseLabRule(text)
    t.equal(rule.minInputs(2), least, text)
    const vectors = Array.from({ length: least - 1 }, (_, x) => Float32Array.of(x * x))
    const message = new RegExp(`at least ${least} .* 2 attackers, but has ${least - 1}`)
    t.throws(() => rule.run({ vectors, own: 0, f: 2 }), { code: 'too-few-inputs', message }, text)
    t.doesNotThrow(() => rule.run({ vectors: [...vectors, Float32Array.of(5)], own: 0, f: 2 }), text)
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
  for (const own of [-1, 2, 0.5])
    t.throws(() => rule.run({ vectors, own, f: 0 }), { code: 'bad-argument', message: /index .* of 2; give one of 0 to 1/ })
  for (const text of ALL) {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e151]) {
      const poisoned = Array.from({ length: 9 }, (_, i) => Float64Array.of(i, i === 7 ? bad : i))
      const message = new RegExp(`Vector 7 holds ${String(bad).replace('+', '.')} at coordinate 1`)
      t.throws(() => parseLabRule(text).run({ vectors: poisoned, own: 0, f: 1 }), { code: 'bad-argument', message }, `${text} ${bad}`)
    }
  }
  t.throws(() => parseLabRule('krum(neighbours=1)').run({ vectors: Array.from({ length: 9 }, () => Float64Array.of(1)), own: 0, f: 2 }), {
    code: 'bad-argument',
    message: /counts 1 neighbours cannot withstand 2 attackers; count at least 2/,
  })
  t.throws(() => parseLabRule('mda').run({ vectors: Array.from({ length: 50 }, () => Float64Array.of(1)), own: 0, f: 10 }), {
    code: 'bad-argument',
    message: /search 1.03e\+10 subsets for n = 50 and f = 10/,
  })
  t.end()
})

t.test('distances see only the shared part', (t) => {
  const vectors = [Float32Array.of(0, 0, 100), Float32Array.of(3, 4, -100), Float32Array.of(0, 0, 7)]
  for (const text of ALL) {
    const { inputs } = parseLabRule(text).run({ vectors, own: 0, f: 0, shared: 2 })
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
    const values = [5, 1, 4, 2, 3, 9, 8, 7, 6]
    const vectors = values.map((x) => Float32Array.of(x, -x))
    parseLabRule(text).run({ vectors, own: 2, f: 1 })
    t.same(
      vectors.map((vector) => [...vector]),
      values.map((x) => [x, -x]),
    )
  }
  t.end()
})

t.test('parses rules to a canonical text', (t) => {
  t.equal(parseRule('  nnm|trimmed-mean ').text, 'nnm | trimmed-mean')
  t.equal(parseRule('median()').text, 'median')
  t.equal(parseRule('nnm | nnm | mean').text, 'nnm | nnm | mean')
  t.equal(parseRule('clip(2)|nnm|trimmed-mean').text, 'clip(c=2) | nnm | trimmed-mean')
  t.equal(parseRule('geometric-median(nu=0.10, T=8)').text, 'geometric-median(T=8, nu=0.1)')
  t.equal(parseRule('geometric-median(1, T=8)').text, 'geometric-median(T=8, nu=1)')
  t.equal(parseRule('clipped-gossip( tau = cs+ )').text, 'clipped-gossip(tau=cs+)')
  for (const text of ALL) t.equal(parseLabRule(parseLabRule(text).text).text, parseLabRule(text).text)
  t.end()
})

/** Texts made of what the grammar is made of. */
const grammatical = fc
  .array(fc.constantFrom('mean', 'clip', 'multi-krum', '(', ')', '|', ',', '=', 'c', 'm', '1', '-2', '0.5', 'n-f', 'cs+', ' '), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''))

t.test('refuses what it does not know, saying what it does know', (t) => {
  const refused: [string, RegExp][] = [
    ['crum', /"crum" is not a known aggregation rule; known are: mean, trimmed-mean, median, geometric-median, krum, multi-krum, /],
    ['nnm', /"nnm" is not a known aggregation rule/],
    ['mean | median', /"mean" is not a known pre-aggregation; known are: nnm, clip, bucketing\./],
    ['bulyan', /"bulyan" is for comparison in the lab; a task takes: nnm, clip, bucketing, mean, /],
    ['arc | mean', /"arc" is for comparison in the lab/],
    ['toString', /form/],
    ['constructor', /"constructor" is not a known aggregation rule/],
    ['mean(a=1)', /"mean" has no parameter "a"; it takes none\./],
    ['mean(1)', /"mean" takes no parameters, but was given 1\./],
    ['nnm(k=3, f=1e2) | mean', /"nnm" has no parameter "k"/],
    ['clip(c=1, 2) | mean', /"2" of "clip" .* key=number/],
    ['clip(1, c=2) | mean', /"c" of "clip" is given twice/],
    ['clip(1, 2) | mean', /without a name of "clip" .* given twice/],
    ['clip | mean', /"clip" needs its parameter "c": a number above 0\./],
    ['clip(0) | mean', /"c" of "clip" is 0; it must be a number above 0/],
    ['bucketing(1.5) | mean', /"s" of "bucketing" is 1.5; it must be a whole number at least 1/],
    ['geometric-median(T=0)', /"T" of "geometric-median" is 0; it must be a whole number at least 1 and at most 100/],
    ['clipped-gossip(tau=-1)', /"tau" of "clipped-gossip" is -1; it must be a number at least 0 or practical or cs\+/],
    ['clipped-gossip(tau=oracle)', /is oracle; it must be/],
    ['multi-krum(m=n-f-3)', /"m" of "multi-krum" is n-f-3; it must be a whole number at least 1 or n-f or n-f-1 or n-f-2/],
    ['krum(neighbours=4)', /"neighbours" of "krum" is 4; it must be n-f-1 or n-f-2/],
    ['krum(m=2)', /"krum" has no parameter "m"; it takes neighbours/],
    ['mean(A)', /"A" of "mean" .* key=number/],
    ['mean(a=)', /key=number/],
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
  for (const [text, message] of [
    ['crum', /known are: .*, nna, bulyan, meamed, mda, caf, centered-clipping, ios, balance, ubar\./],
    ['balance(otherwise=none)', /"otherwise" of "balance" is none; it must be own or nearest/],
    ['nnm | ubar', /judges vectors as they came; write no stage before it/],
    ['ubar(rho=0)', /"rho" of "ubar" is 0; it must be a number above 0 and at most 1 or n-f/],
    ['balance(alpha=2)', /"alpha" of "balance" is 2; it must be a number at least 0 and at most 1/],
  ] as [string, RegExp][]) {
    t.throws(() => parseLabRule(text), { code: 'task-invalid', message }, text)
  }
  for (const text of TASKS) {
    t.equal(parseRule(text).text, text, 'a task takes it')
    t.match(RULE_HELP, text, 'and the help names it')
  }
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'grapheme', maxLength: 300 }), grammatical), (text) => {
      try {
        return parseLabRule(text).text.length > 0
      } catch (error) {
        return isMurmurError(error, 'task-invalid')
      }
    }),
  )
  t.end()
})

t.test('ubar averages those of the nearest that do no worse on the own data, or the best of them', (t) => {
  const vectors = [0, 1, 2, 3, 9].map((value) => Float64Array.of(value))
  const run = (losses: number[] | undefined, rule = 'ubar', f = 1) =>
    parseLabRule(rule).run({ vectors, own: 0, f, ...(losses && { losses }) })
  t.same([...run([5, 4, 5, 6, 0]).output], [0.75], 'the farthest is not looked at, whatever its loss')
  t.same(
    run([5, 4, 5, 6, 0]).inputs.map(({ weight }) => weight),
    [0.5, 0.25, 0.25, 0, 0],
  )
  t.same([...run([1, 4, 3, 6, 0]).output], [1], 'none does as well: the best')
  t.same([...run([5, Number.NaN, 4, Number.NaN, 0]).output], [1], 'what is no number is worst')
  t.same([...run([5, 4, 5, 6, 0], 'ubar(rho=0.25, alpha=0)').output], [1], 'a quarter of the others')
  t.same([...run([5, 4, 5, 6, 0], 'ubar', 4).output], [0], 'alone')
  t.equal(parseLabRule('ubar').asksLosses, true)
  t.equal(parseLabRule('nna').asksLosses, false)
  t.throws(() => run(undefined), { code: 'bad-argument', message: /"ubar" looks at the loss of each vector .* there are none/ })
  t.throws(() => run([1, 2]), { code: 'bad-argument', message: /there are 2 for 5 vectors/ })
  t.end()
})
