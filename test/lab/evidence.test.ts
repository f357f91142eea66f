// The published results that we reproduce: that the page shows the files of results, that these say what their numbers say, and the pieces
// that the experiments are made of.
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import t from 'tap'
import { CLIQUE, LARGEST_EIGENVALUE, LINKS } from '../../scripts/evidence/consensus.ts'
import { DOCUMENT, filled } from '../../scripts/evidence/embed.ts'
import { type Experiment, judge, knownOf, readResults, tableOf } from '../../scripts/evidence/experiment.ts'
import { EXPERIMENTS } from '../../scripts/evidence/experiments.ts'
import { drawParts } from '../../scripts/evidence/gossip.ts'
import { dumbbell, type Graph, ring, twoWorlds } from '../../scripts/evidence/graphs.ts'
import { samplesOf } from '../../scripts/evidence/sampling.ts'

t.test('docs/robustness.md shows what the files of results hold, and nothing typed by hand', async (t) => {
  const document = await readFile(DOCUMENT, 'utf8')
  t.equal(await filled(document), document, 'run: node scripts/evidence/embed.ts')
})

for (const experiment of EXPERIMENTS) {
  t.test(`${experiment.name}: verdicts and claims follow from the numbers in the file`, async (t) => {
    const results = await readResults(experiment.name)
    if (results === undefined) return t.fail(`run: node scripts/evidence/${experiment.name}.ts`)
    const ours = new Map(results.rows.map((row) => [row.name, row.ours]))
    t.strictSame(results, JSON.parse(JSON.stringify(judge(experiment, ours, results.cpuSeconds))))
    // What has not been run yet is said to be, and nothing is claimed before.
    const complete = results.rows.every(({ ours }) => ours.length === experiment.seeds.length)
    t.equal(results.claims.length > 0, complete)
  })
}

t.test('what is far from the published is said to be, and a case without all its seeds makes no claims', async (t) => {
  const experiment: Experiment = {
    ...{ name: 'none', title: 'none', source: 'nowhere', differs: 'in nothing', unit: 'points', digits: 1, seeds: [1, 2] },
    alike: { how: 'within 1', test: (published, ours) => ours.every((value) => Math.abs(value - published) <= 1) },
    cases: ['near', 'far', 'lost', 'half'].map((name) => ({ name, published: 10, run: async () => 10 })),
    claims: (of) => [{ what: 'near is ten', holds: of('near') === 10 }],
  }
  const ours = new Map([
    ['near', [9.5, 10.5]],
    ['far', [14, 15]],
    ['lost', [null, 10]],
    ['half', [10]],
  ])
  const results = judge(experiment, ours, 0)
  t.strictSame(
    results.rows.map(({ verdict }) => verdict),
    ['same', 'above by 4.5', 'diverges', 'same'],
  )
  t.strictSame(results.claims, [])
  t.match(tableOf(results), '| far | 10.0 | 14.5 | 14.0 to 15.0 | above by 4.5 |')
  t.match(tableOf(results), '| lost | 10.0 | diverges | 10.0 to diverges | diverges |')
  t.match(tableOf(judge(experiment, new Map(), 0)), '| near | 10.0 | *not run yet* | | |')
  t.strictSame(judge(experiment, new Map([...ours, ['half', [10, 10]]]), 0).claims, [{ what: 'near is ten', holds: true }])
  t.comment('A run goes on from what is known of the same seeds.')
  t.strictSame(knownOf(results, 'far', [1, 2, 3]), [14, 15])
  t.strictSame(knownOf(results, 'far', [1]), [14])
  t.strictSame(knownOf(results, 'far', [2, 1]), [])
  t.strictSame(knownOf(results, 'half', [1, 2]), [10])
  t.strictSame(knownOf(results, 'new', [1, 2]), [])
  t.strictSame(knownOf(undefined, 'far', [1, 2]), [])
})

t.test('the least safe samples are those of the published bound', async (t) => {
  const least = (members: number, byzantine: number) => samplesOf(members, byzantine).least
  t.strictSame([least(20, 4), least(50, 10), least(100, 10), least(100, 20), least(1000, 100)], [8, 20, 16, 30, 24])
  t.ok(samplesOf(100, 20).ample > least(100, 20))
})

t.test('the graphs are those of the papers, and the step of the two worlds is one over their largest eigenvalue', async (t) => {
  const degrees = ({ neighbours }: Graph) => neighbours.map(({ length }) => length)
  const symmetric = ({ neighbours }: Graph) => neighbours.every((others, i) => others.every((j) => neighbours[j]!.includes(i)))
  const worlds = twoWorlds(CLIQUE, LINKS)
  t.ok(degrees(worlds).every((degree) => degree === CLIQUE - 1 + LINKS))
  t.strictSame(degrees(dumbbell(10)), [10, ...new Array<number>(18).fill(9), 10])
  t.strictSame(degrees(ring(5)), [2, 2, 2, 2, 2])
  t.ok([worlds, dumbbell(10), ring(5)].every(symmetric))
  t.ok(Math.abs(largestEigenvalue(worlds) - LARGEST_EIGENVALUE) < 1e-6)
})

/** Of the Laplacian, by the power method. */
function largestEigenvalue({ neighbours }: Graph): number {
  let vector = neighbours.map((_, i) => Math.sin(1 + i * i))
  let value = 0
  for (let step = 0; step < 2000; step++) {
    const next = neighbours.map((others, i) => others.length * vector[i]! - others.reduce((sum, j) => sum + vector[j]!, 0))
    value = Math.hypot(...next)
    vector = next.map((x) => x / value)
  }
  return value
}

t.test('peers get samples of their own pool alone, none twice', async () => {
  const pools = fc
    .integer({ min: 1, max: 3 })
    .chain((count) => fc.record({ count: fc.constant(count), each: fc.integer({ min: 1, max: 5 }) }))
  fc.assert(
    fc.property(pools, fc.integer({ min: 1, max: 8 }), fc.nat(), ({ count, each }, samples, seed) => {
      const rows = Array.from({ length: count }, (_, pool) => Int32Array.from({ length: each * samples }, (_, i) => 1000 * pool + i))
      const parts = drawParts(rows, count * each, samples, seed)
      const all = parts.flatMap((part) => [...part])
      return (
        new Set(all).size === count * each * samples &&
        parts.every((part, i) => part.length === samples && part.every((row) => Math.floor(row / 1000) === Math.floor(i / each)))
      )
    }),
  )
})
