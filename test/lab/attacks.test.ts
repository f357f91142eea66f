// The lab's attacks against values that were computed with other projects' code or from the papers' formulas, and what each promises.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { zOf } from '../../node/lab/attacks/alie.ts'
import { fiedlerVector } from '../../node/lab/attacks/fiedler.ts'
import { LAB_ATTACKS, parseLabAttack } from '../../node/lab/attacks/index.ts'
import { lineMaximize } from '../../node/lab/attacks/line-search.ts'
import { normalQuantile } from '../../node/lab/attacks/normal-quantile.ts'
import { deviationOf, distance, meanOf } from '../../node/lab/attacks/vectors.ts'
import { parseLabRule } from '../../protocol/aggregation/index.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { far } from '../helpers/far.ts'

interface Entry {
  rule: string
  params: Record<string, number | string>
  src: string
  out: number[]
}

interface Vectors {
  cases: { name: string; X: number[][]; honest: number[]; f: number; attacks: Entry[] }[]
  tables: { alie_z: { n: number; f: number; z: number }[] }
}

const { cases, tables } = JSON.parse(readFileSync(new URL('../protocol/aggregation-vectors.json', import.meta.url), 'utf8')) as Vectors

/** Their name, and how it is written here. */
const WRITTEN: Record<string, (params: Entry['params']) => string> = {
  SignFlipping: () => 'sign-flip',
  IPM: ({ tau }) => `ipm(${tau})`,
  ALIE: ({ tau }) => `alie(${tau})`,
  FOE: ({ attack_factor }) => `foe(${attack_factor})`,
  Optimal_InnerProductManipulation: ({ evals, delta }) => `optimal-ipm(evals=${evals}, delta=${delta})`,
  Optimal_ALittleIsEnough: ({ evals, delta }) => `optimal-alie(evals=${evals}, delta=${delta})`,
  Mimic: ({ epsilon }) => `mimic(${epsilon})`,
  FangTrim: ({ b, r }) => `fang-trim(b=${b}, r=${r})`,
  Dissensus: ({ epsilon }) => `dissensus(${epsilon})`,
}
const RULES: Record<string, string> = { Average: 'mean', TrMean: 'trimmed-mean', 'NNM>TrMean': 'nnm | trimmed-mean' }

/** Not attacks of ours, and why. */
const OTHERS: Record<string, string> = { Inf: 'nothing that is not finite reaches a rule' }

t.test('agrees with the published implementations to 1e-9', (t) => {
  const seen = new Set<string>()
  for (const { name, X, honest, f, attacks } of cases) {
    const rows = honest.map((i) => Float64Array.from(X[i]!))
    for (const { rule, params, src, out } of attacks) {
      if (rule in OTHERS) continue
      seen.add(rule)
      const text = WRITTEN[rule]!(params)
      const against = typeof params.agg === 'string' ? { rule: parseLabRule(RULES[params.agg]!) } : {}
      const vectors = parseLabAttack(text).forge(rows, f, { own: Number(params.target ?? 0), ...against })
      t.equal(vectors.length, f)
      for (const vector of vectors)
        t.ok(far(vector, out) < 1e-9, `${name} ${rule} ${params.agg ?? ''} ${src} as ${text}: ${far(vector, out)}`)
    }
  }
  t.same([...seen].sort(), Object.keys(WRITTEN).sort())
  t.end()
})

t.test("alie's z is the table's", (t) => {
  for (const { n, f, z } of tables.alie_z) t.ok(Math.abs(zOf(n, f) - z) < 1e-12, `n=${n} f=${f}`)
  // From tables of the normal distribution, for the tails that no network of that size reaches.
  t.ok(Math.abs(normalQuantile(1e-9) + 5.9978070150076865) < 1e-12)
  t.ok(Math.abs(normalQuantile(1e-20) + 9.262340089798409) < 1e-12)
  t.ok(Math.abs(normalQuantile(0.999) - 3.090232306167813) < 1e-12)
  t.throws(() => zOf(4, 3), { code: 'bad-argument', message: /majority/ })
  const rows = cases[0]!.honest.map((i) => Float64Array.from(cases[0]!.X[i]!))
  const [byFormula] = parseLabAttack('alie').forge(rows, 2)
  const [byValue] = parseLabAttack('alie(z=0.2533471031357997)').forge(rows, 2)
  t.ok(far(byFormula!, byValue!) < 1e-12)
  t.end()
})

/** Honest models, attackers and the start of a round. */
const round = fc.record({ n: fc.integer({ min: 2, max: 8 }), d: fc.integer({ min: 1, max: 6 }) }).chain(({ n, d }) => {
  const value = fc.integer({ min: -1000, max: 1000 }).map((x) => x / 8)
  const vector = fc.array(value, { minLength: d, maxLength: d }).map((values) => Float64Array.from(values))
  return fc.record({
    honest: fc.array(vector, { minLength: n, maxLength: n }),
    start: vector,
    f: fc.integer({ min: 0, max: Math.floor((n - 1) / 2) }),
    own: fc.nat({ max: n - 1 }),
  })
})

t.test('every attack makes f finite vectors of the same length, none for f = 0, the same ones each time', (t) => {
  const rule = parseLabRule('trimmed-mean')
  fc.assert(
    fc.property(round, ({ honest, start, f, own }) => {
      for (const name of Object.keys(LAB_ATTACKS)) {
        const options = { own, start, rule, trained: honest.slice(0, f), seed: 5 }
        const forged = parseLabAttack(name).forge(honest, f, options)
        if (forged.length !== f) return false
        if (!forged.every((vector) => vector.length === start.length && vector.every(Number.isFinite))) return false
        const again = parseLabAttack(name).forge(honest, f, options)
        if (!forged.every((vector, k) => far(vector, again[k]!) === 0)) return false
      }
      return true
    }),
    { numRuns: 50 },
  )
  t.end()
})

t.test('the defaults are what the help says', (t) => {
  const honest = [Float64Array.of(1, 2), Float64Array.of(3, 5), Float64Array.of(4, 1), Float64Array.of(2, 2)]
  const options = { start: Float64Array.of(1, 1), trained: honest.slice(0, 1), rule: parseLabRule('median') }
  const about = { sampleShape: [4, 4], classes: 10, seed: 1 }
  const data = { x: new Uint8Array(64), y: Int32Array.of(1, 2, 3, 4), samples: 4 }
  for (const [name, { takes }] of Object.entries(LAB_ATTACKS)) {
    const [bare, written] = [name, `${name}(${takes})`].map((text) => parseLabAttack(text))
    t.same(bare!.forge(honest, 1, options), written!.forge(honest, 1, options), written!.text)
    t.same(bare!.poison?.(data, about), written!.poison?.(data, about))
  }
  t.end()
})

t.test('attacks that hide among the honest do', (t) => {
  fc.assert(
    fc.property(round, fc.double({ min: 0, max: 3, noNaN: true }), ({ honest, start, own }, z) => {
      const mean = meanOf(honest)
      const deviation = deviationOf(honest, mean)
      const [alie] = parseLabAttack(`alie(${z})`).forge(honest, 1)
      const within = alie!.every((x, c) => Math.abs(x - mean[c]!) <= z * deviation[c]! * (1 + 1e-9) + 1e-9)
      const [copy] = parseLabAttack(`mimic(${own})`).forge(honest, 1)
      const received = parseLabAttack('free-rider(received)').forge(honest, honest.length)
      const copies = far(copy!, honest[own]!) === 0 && received.every((vector, k) => far(vector, honest[k]!) === 0)
      const widest = Math.max(...honest.flatMap((a) => honest.map((b) => distance(a, b))))
      const closeEnough = ['std', 'unit', 'sign'].every((direction) => {
        const [vector] = parseLabAttack(`min-max(${direction})`).forge(honest, 1, { start })
        const farthest = Math.max(...honest.map((x) => distance(vector!, x)))
        // As far as it may go, unless there is no direction.
        const stays = far(vector!, mean) === 0
        return farthest <= widest + 1e-6 && (stays || farthest >= widest - 1e-6)
      })
      return within && copies && closeEnough
    }),
  )
  t.end()
})

t.test('attacks act on the steps from the start: moved with it, they are moved as far', (t) => {
  const names = ['sign-flip(4)', 'ipm', 'foe(3)', 'alie', 'min-max(unit)', 'fang-trim', 'gaussian', 'dissensus', 'spectral']
  fc.assert(
    fc.property(round, ({ honest, start, f, own }) => {
      const zero = new Float64Array(start.length)
      const moved = honest.map((vector) => vector.map((x, c) => x + start[c]!))
      return names.every((name) => {
        const attack = parseLabAttack(name)
        const there = attack.forge(moved, f, { own, start })
        const here = attack.forge(honest, f, { own, start: zero })
        return there.every(
          (vector, k) =>
            far(
              vector,
              here[k]!.map((x, c) => x + start[c]!),
            ) < 1e-9,
        )
      })
    }),
  )
  const steps = [Float64Array.of(10, 5), Float64Array.of(14, 7)]
  const [flipped] = parseLabAttack('sign-flip').forge(steps, 1, { start: Float64Array.of(10, 10) })
  t.same([...flipped!], [8, 14])
  t.end()
})

t.test('fang-trim lies beyond the honest, by up to b', (t) => {
  const honest = [Float64Array.of(1, -4, 2), Float64Array.of(3, -2, -1), Float64Array.of(2, -6, 3)]
  const [first, second] = parseLabAttack('fang-trim(b=2)').forge(honest, 2, { seed: 1 })
  for (const [a, b, c] of [first!, second!] as unknown as [number, number, number][]) {
    t.ok(a <= 1 && a > 0.5, `below the least of those that rise: ${a}`)
    t.ok(b >= -2 && b < -1, `above the greatest of those that fall: ${b}`)
    t.ok(c <= -1 && c > -2, `further down: ${c}`)
  }
  t.notSame(first, second, 'each attacker draws')
  t.end()
})

t.test('an optimal attack never moves the rule less than not attacking', (t) => {
  const { X, honest, f } = cases[1]!
  const rows = honest.map((i) => Float64Array.from(X[i]!))
  const ideal = meanOf(rows)
  for (const text of ['trimmed-mean', 'median', 'nnm | trimmed-mean', 'cs+', 'nna', 'geometric-median']) {
    const rule = parseLabRule(text)
    const moved = (vectors: readonly Float64Array[]) => distance(rule.run({ vectors: [...rows, ...vectors], own: 0, f }).output, ideal)
    const harmless = moved(new Array(f).fill(ideal))
    t.ok(moved(parseLabAttack('optimal-alie').forge(rows, f, { rule })) >= harmless, text)
    t.ok(moved(parseLabAttack('optimal-ipm').forge(rows, f, { rule })) >= moved(parseLabAttack('ipm(0)').forge(rows, f)), text)
  }
  t.equal(lineMaximize((x) => -((x - 100) ** 2), { evals: 100, delta: 10 }) > 69, true, 'expands towards what is far')
  t.equal(
    lineMaximize((x) => -x, { evals: 20, delta: 10 }),
    0,
  )
  t.end()
})

t.test('dissensus pulls apart whom the weights connect, and nobody else', (t) => {
  const honest = [Float64Array.of(0), Float64Array.of(1), Float64Array.of(100)]
  // The receiver is not linked with the third; the two attackers have half of all weight.
  const [forged] = parseLabAttack('dissensus(1)').forge(honest, 2, { own: 0, weights: [0.25, 0.25, 0, 0.25, 0.25] })
  t.same([...forged!], [-0.5])
  const [moved] = parseLabAttack('dissensus(1)').forge(honest, 2, { own: 1, weights: [0.25, 0.25, 0, 0.25, 0.25] })
  t.same([...moved!], [1.5])
  t.throws(() => parseLabAttack('dissensus').forge(honest, 2, { weights: [1, 0, 0, 0, 0] }), { code: 'bad-argument' })
  t.end()
})

t.test('the Fiedler vector is that of the Laplacian, and spectral pushes along it', (t) => {
  // A path: cos(pi (i + 1/2) / n), known in closed form.
  const n = 7
  const path = new Float64Array(n * n)
  for (let i = 0; i + 1 < n; i++) path[i * n + i + 1] = path[(i + 1) * n + i] = 1
  const found = fiedlerVector(path, n)
  const cosine = Float64Array.from({ length: n }, (_, i) => Math.cos((Math.PI * (i + 0.5)) / n))
  const length = Math.sqrt(cosine.reduce((sum, x) => sum + x * x, 0))
  const sign = Math.sign(found[0]!)
  t.ok(
    found.every((x, i) => Math.abs(x - (sign * cosine[i]!) / length) < 1e-9),
    found.join(' '),
  )
  for (const graph of [new Float64Array(n * n), new Float64Array(n * n).fill(1)]) {
    const any = fiedlerVector(graph, n)
    t.ok(Math.abs(any.reduce((sum, x) => sum + x, 0)) < 1e-9, 'orthogonal to agreement')
    t.ok(Math.abs(any.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-9)
  }
  t.same([...fiedlerVector([0], 1)], [0])

  // Two worlds, one at 0 and one at 1, and a bridge between them.
  const worlds = new Float64Array(36)
  const link = (i: number, j: number) => {
    worlds[i * 6 + j] = worlds[j * 6 + i] = 1
  }
  for (const [i, j] of [
    [0, 1],
    [0, 2],
    [1, 2],
    [3, 4],
    [3, 5],
    [4, 5],
    [2, 3],
  ] as const)
    link(i, j)
  const honest = [0, 0, 0, 1, 1, 1].map((x) => Float64Array.of(x))
  const forge = (own: number, text = 'spectral') =>
    parseLabAttack(text).forge(honest, 1, { own, graph: worlds, rule: parseLabRule('cs+') })[0]![0]!
  t.ok(forge(0) < 0 && forge(2) < 0, 'the lower world is pushed down')
  t.ok(forge(3) > 1 && forge(5) > 1, 'the upper one up')
  t.ok(forge(0, 'spectral(optimal)') <= 0)
  t.end()
})

t.test('attacks on data change what attackers train on, and leave the honest data alone', (t) => {
  const data = { x: new Uint8Array(4 * 16), y: Int32Array.of(0, 1, 2, 9), samples: 4 }
  const about = { sampleShape: [1, 4, 4], classes: 10, seed: 1 }
  const flipped = parseLabAttack('label-flip').poison!(data, about)
  t.same([...flipped.y], [9, 8, 7, 0])
  t.equal(flipped.x, data.x)
  t.same(
    [...parseLabAttack('label-flip').poison!({ ...data, y: Int32Array.of(0, 1, -1, 9) }, { ...about, ignoreIndex: -1 }).y],
    [9, 8, -1, 0],
  )
  t.same([...parseLabAttack('label-flip').poison!({ ...data, y: Float32Array.of(0, 1, 1, 0) }, { ...about, classes: 2 }).y], [1, 0, 0, 1])

  const backdoor = parseLabAttack('backdoor(target=2, size=2, share=0.5)')
  const poisoned = backdoor.poison!(data, about)
  const corner = [10, 11, 14, 15]
  const changed = [0, 1, 2, 3].filter((i) => poisoned.x.subarray(i * 16, i * 16 + 16).some((x) => x > 0))
  t.equal(changed.length, 2)
  for (const i of changed) {
    t.same(
      [...poisoned.x.subarray(i * 16, i * 16 + 16).keys()].filter((at) => poisoned.x[i * 16 + at] === 255),
      corner,
    )
    t.equal(poisoned.y[i], 2)
  }
  t.ok(poisoned.x.buffer instanceof SharedArrayBuffer && poisoned.y.buffer instanceof SharedArrayBuffer)
  t.ok(data.x.every((x) => x === 0) && data.y.join() === '0,1,2,9')
  const test = backdoor.success!(data, about)
  t.same([...test.y], [2, 2, 2], 'the success rate is over samples of other classes')
  t.equal(test.samples, 3)
  t.ok([0, 1, 2].every((i) => corner.every((at) => test.x[i * 16 + at] === 255)))

  const table = { x: new Float32Array(10), y: Int32Array.of(1, 1), samples: 2 }
  const last = parseLabAttack('backdoor(target=0, size=2, share=1, value=7)').poison!(table, { sampleShape: [5], classes: 2, seed: 1 })
  t.same([...last.x], [0, 0, 0, 7, 7, 0, 0, 0, 7, 7])
  t.end()
})

t.test('a backdoored model outweighs the honest ones in a mean', (t) => {
  const start = Float64Array.of(1, 1)
  const honest = [start, start, start, start]
  const trained = [Float64Array.of(3, 0), Float64Array.of(5, 0)]
  const forged = parseLabAttack('backdoor').forge(honest, 2, { start, trained })
  t.same([...meanOf([...honest, ...forged])], [4, 0], 'the mean of what the attackers trained')
  t.same([...parseLabAttack('backdoor(scale=1)').forge(honest, 2, { start, trained })[1]!], [5, 0])
  t.same(parseLabAttack('label-flip').forge(honest, 2, { start, trained }), trained)
  t.end()
})

t.test('is written as rules are, and what cannot be is refused in one sentence', (t) => {
  t.equal(parseLabAttack(' fang-trim( r=1.5,b=3 ) ').text, 'fang-trim(b=3, r=1.5)')
  t.equal(parseLabAttack('ipm(0.5)').text, 'ipm(tau=0.5)')
  t.same(
    Object.keys(LAB_ATTACKS).filter((name) => parseLabAttack(name).perTarget),
    ['dissensus', 'spectral'],
  )
  const two = [Float64Array.of(1, 2), Float64Array.of(3, 4)]
  const about = { sampleShape: [2], classes: 2, seed: 1 }
  const numbers = { x: new Float32Array(4), y: Float32Array.of(0.5, 7), samples: 2 }
  const refused: [() => unknown, RegExp][] = [
    [() => parseLabAttack('alei'), /"alei" is not a known attack; known are: label-flip, .*, free-rider\./],
    [() => parseLabAttack('constructor'), /"constructor" is not a known attack/],
    [() => parseLabAttack('alie | ipm'), /"alie" cannot stand before an attack; what can is: sleeper, sybil/],
    [() => parseLabAttack('alie(tau=1)'), /"alie" has no parameter "tau"; it takes z\./],
    [() => parseLabAttack('alie(most)'), /"z" of "alie" is most; it must be a number or formula\./],
    [() => parseLabAttack('min-max(down)'), /"direction" of "min-max" is down; it must be std or unit or sign\./],
    [() => parseLabAttack('optimal-ipm(1000)'), /"evals" of "optimal-ipm" is 1000; it must be a whole number at least 1 and at most 100\./],
    [() => parseLabAttack('sign-flip').forge([], 0), /no honest vector/],
    [() => parseLabAttack('sign-flip').forge(two, 3), /cannot be 3 attackers beside 2 honest vectors; give a whole number from 0 to 2\./],
    [() => parseLabAttack('sign-flip').forge(two, -1), /cannot be -1 attackers/],
    [() => parseLabAttack('sign-flip').forge(two, 1, { own: 2 }), /index 2 of 2; give one of 0 to 1\./],
    [() => parseLabAttack('sign-flip').forge([...two, Float64Array.of(Number.NaN, 1)], 1), /Vector 2 holds NaN/],
    [() => parseLabAttack('sign-flip').forge([...two, Float64Array.of(1)], 1), /of 2 and of 1 coordinates/],
    [() => parseLabAttack('sign-flip').forge(two, 1, { start: Float64Array.of(1) }), /of 2 and of 1 coordinates/],
    [() => parseLabAttack('sign-flip').forge(two, 1, { weights: [1, 1] }), /2 weights for 3 vectors/],
    [() => parseLabAttack('sign-flip').forge(two, 1, { weights: [1, -1, 1] }), /negative or not finite/],
    [() => parseLabAttack('spectral').forge(two, 1, { graph: [0, 1] }), /graph has 2 weights .* give 4/],
    [
      () =>
        parseLabAttack('ipm(1e300)').forge(
          two.map((row) => row.map((x) => x * 1e100)),
          1,
        ),
      /leaves what float64 can hold/,
    ],
    [() => parseLabAttack('mimic(2)').forge(two, 1), /copies row 2, but there are 2; give 0 to 1\./],
    [() => parseLabAttack('optimal-alie').forge(two, 1), /"optimal-alie" works against a rule; name the rule with --rule\./],
    [() => parseLabAttack('optimal-alie').forge(two, 2, { rule: parseLabRule('median') }), /"median" needs at least 5 vectors/],
    [() => parseLabAttack('free-rider').forge(two, 1), /give it with --start, or use free-rider\(received\)\./],
    [() => parseLabAttack('label-flip').forge(two, 1), /"label-flip" is one on data: give .* --trained/],
    [() => parseLabAttack('backdoor').forge(two, 1, { trained: two }), /2 trained vectors for 1 attackers/],
    [() => parseLabAttack('label-flip').poison!(numbers, { ...about, classes: undefined }), /predicts numbers/],
    [() => parseLabAttack('backdoor(target=2)').poison!(numbers, about), /target 2, but classes go from 0 to 1\./],
    [() => parseLabAttack('backdoor').poison!(numbers, { ...about, classes: undefined }), /one class a sample/],
  ]
  for (const [run, message] of refused) {
    try {
      run()
      t.fail(message.source)
    } catch (error) {
      t.ok(isMurmurError(error), String(error))
      t.match((error as Error).message, message)
    }
  }
  t.end()
})

t.test('sleepers send the honest mean until they wake; Sybils say when they come', (t) => {
  const honest = [Float64Array.of(1, 2), Float64Array.of(3, 6)]
  const attack = parseLabAttack('sybil(3) | sleeper(4) | sign-flip')
  t.equal(attack.text, 'sybil(round=3) | sleeper(rounds=4) | sign-flip')
  t.equal(attack.joins, 3)
  t.same(attack.forge(honest, 1, { round: 4 }), [Float64Array.of(2, 4)])
  t.same(attack.forge(honest, 1, { round: 5 }), [Float64Array.of(-2, -4)])
  t.same(attack.forge(honest, 1), [Float64Array.of(-2, -4)])
  t.equal(parseLabAttack('alie').joins, undefined)
  t.throws(() => parseLabAttack('nnm | alie'), {
    code: 'bad-argument',
    message: /"nnm" cannot stand before an attack; what can is: sleeper, sybil/,
  })
  t.throws(() => parseLabAttack('sleeper(0) | alie'), { code: 'task-invalid', message: /"rounds" of "sleeper" is 0/ })
  t.end()
})

t.test('drift keeps to the same sides whatever the round, and adaptive harms no less than what it tries', (t) => {
  const rule = parseLabRule('median')
  fc.assert(
    fc.property(round, fc.nat(), ({ honest, start, f }, seed) => {
      const drifts = [1, 2].map((n) => parseLabAttack('drift(z=1)').forge(honest, f, { seed: seed + n }))
      const same = drifts[0]!.every((vector, k) => far(vector, drifts[1]![k]!) === 0)
      if (f === 0) return same
      const mean = meanOf(honest)
      const harm = (name: string) => {
        const forged = parseLabAttack(name).forge(honest, f, { start, rule })
        return distance(rule.run({ vectors: [...honest, ...forged], own: 0, f }).output, mean)
      }
      return same && ['sign-flip', 'ipm(0.5)', 'alie(1.5)', 'min-max', 'mimic'].every((name) => harm('adaptive') >= harm(name))
    }),
    { numRuns: 50 },
  )
  t.end()
})
