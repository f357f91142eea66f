import fc from 'fast-check'
import t from 'tap'
import { dirichletPartition, iidPartition } from '../../node/data/partition.ts'
import { splitValidation } from '../../node/data/split.ts'
import { createPrng } from '../../protocol/prng.ts'

const SAMPLES = 12_000
const CLASSES = 10
const balanced = Int32Array.from({ length: SAMPLES }, (_, i) => i % CLASSES)

/** True where the parts are disjoint, together hold 0..n-1, and each is ascending. */
function covers(parts: readonly Int32Array[], n: number): boolean {
  const seen = new Uint8Array(n)
  for (const part of parts) for (const index of part) seen[index]!++
  return seen.every((count) => count === 1) && parts.every((part) => part.every((index, i) => i === 0 || index > part[i - 1]!))
}

/** Mean over parts of the share that each part's largest class takes: 1 / classes where even, 1 where each holds one class. */
function skew(parts: readonly Int32Array[]): number {
  const shares = parts.map((part) => {
    const counts = new Array<number>(CLASSES).fill(0)
    for (const index of part) counts[balanced[index]!]!++
    return Math.max(...counts) / part.length
  })
  return shares.reduce((sum, share) => sum + share, 0) / parts.length
}

const seeds = fc.oneof(fc.integer(), fc.string())

t.test('a Dirichlet partition gives every sample to exactly one part and leaves none empty, whatever the labels', async () => {
  const labels = fc.array(fc.integer({ min: -3, max: 12 }), { minLength: 1, maxLength: 400 })
  const alphas = fc.oneof(
    fc.constantFrom(1e-300, 1e-6, 0.01, 0.5, 1, 100, 1e9, Number.MAX_VALUE),
    fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
  )
  fc.assert(
    fc.property(labels, fc.nat(), alphas, seeds, (list, wanted, alpha, seed) => {
      const shards = 1 + (wanted % list.length)
      const parts = dirichletPartition(Int32Array.from(list), shards, alpha, seed)
      return parts.length === shards && covers(parts, list.length) && parts.every((part) => part.length > 0)
    }),
  )
})

t.test('an even partition gives every sample to exactly one part, in sizes that differ by at most one', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.nat(), seeds, (samples, wanted, seed) => {
      const parts = iidPartition(samples, 1 + (wanted % samples), seed)
      const sizes = parts.map((part) => part.length)
      return covers(parts, samples) && Math.max(...sizes) - Math.min(...sizes) <= 1
    }),
  )
})

t.test('the same seed cuts alike in every process, another seed otherwise', async (t) => {
  const text = (seed: number) => dirichletPartition(balanced, 6, 0.5, seed).join('|')
  t.equal(text(1), text(1))
  t.not(text(1), text(2))
  const even = (seed: number) => iidPartition(SAMPLES, 6, seed).join('|')
  t.equal(even(1), even(1))
  t.not(even(1), even(2))
  t.strictSame(
    dirichletPartition(balanced, 4, 0.5, 1).map((part) => part.length),
    [4447, 1508, 3496, 2549],
    'peers of different versions must cut alike',
  )
})

t.test('every part gets its minimum, also where alpha makes that unlikely', async (t) => {
  for (const alpha of [1e-6, 0.05, 0.5]) {
    for (let seed = 0; seed < 5; seed++) {
      const sizes = dirichletPartition(balanced, 30, alpha, seed).map((part) => part.length)
      t.ok(Math.min(...sizes) >= 100, `alpha ${alpha}: the smallest part has ${Math.min(...sizes)}`)
    }
  }
})

t.test('large alpha makes all parts look alike, small alpha each see few classes', async (t) => {
  const at = (alpha: number) => skew(dirichletPartition(balanced, 6, alpha, 3))
  t.ok(at(1e9) < 0.102, `alpha 1e9: largest class ${at(1e9)}`)
  t.ok(at(1e9) < at(1) && at(1) < at(0.1), `alpha 1: ${at(1)}, alpha 0.1: ${at(0.1)}`)
  for (const alpha of [1e9, Number.MAX_VALUE]) {
    const sizes = dirichletPartition(balanced, 6, alpha, 3).map((part) => part.length)
    t.ok(Math.max(...sizes) - Math.min(...sizes) <= CLASSES, `alpha ${alpha}: sizes ${sizes}`)
  }
  t.ok(skew(iidPartition(SAMPLES, 6, 3)) < 0.13)
})

t.test("a class's shares have the variance of the Dirichlet distribution", async (t) => {
  // Two parts: the first's share of a class is Beta(alpha, alpha), of variance 1 / (4 (2 alpha + 1)).
  const one = new Int32Array(2000)
  const alpha = 2
  const shares = Array.from({ length: 2000 }, (_, seed) => dirichletPartition(one, 2, alpha, seed)[0]!.length / one.length)
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
  const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length
  t.ok(Math.abs(mean - 0.5) < 0.02, `mean ${mean}`)
  // Parts below the minimum are drawn again, which takes a little off the tails.
  t.ok(Math.abs(variance - 0.05) < 0.007, `variance ${variance}`)
})

t.test('an impossible partition is refused in one sentence', async (t) => {
  const few = Int32Array.of(0, 1)
  t.throws(() => dirichletPartition(few, 3, 1, 1), { code: 'data-invalid', message: 'The data has 2 samples, too few for 3 parts' })
  t.throws(() => iidPartition(2, 3, 1), { code: 'data-invalid' })
  for (const shards of [0, -1, 1.5, Number.NaN]) t.throws(() => iidPartition(2, shards, 1), { code: 'bad-argument' })
  for (const alpha of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    t.throws(() => dirichletPartition(few, 1, alpha, 1), { code: 'bad-argument' })
})

t.test('a validation split takes its share, the same each time, and shares no sample with training', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 300 }), fc.double({ min: 0.001, max: 0.999, noNaN: true }), seeds, (samples, share, seed) => {
      const indices = Int32Array.from({ length: samples }, (_, i) => i)
      const { train, validation } = splitValidation(indices, share, seed)
      const wanted = Math.min(samples - 1, Math.max(1, Math.round(samples * share)))
      return covers([train, validation], samples) && validation.length === wanted
    }),
  )
  const indices = createPrng(1).shuffle(Int32Array.from({ length: 100 }, (_, i) => 3 * i))
  const before = indices.slice()
  t.strictSame(splitValidation(indices, 0.2, 5), splitValidation(indices, 0.2, 5))
  t.strictSame(indices, before, 'what is given is not changed')
  t.throws(() => splitValidation(Int32Array.of(1), 0.5, 1), { code: 'data-invalid' })
  t.strictSame(splitValidation(Int32Array.of(4, 1), 0, 5), { train: Int32Array.of(1, 4), validation: new Int32Array() })
  t.throws(() => splitValidation(new Int32Array(), 0, 1), { code: 'data-invalid' })
  for (const share of [1, -1, Number.NaN]) t.throws(() => splitValidation(indices, share, 1), { code: 'bad-argument' })
})
