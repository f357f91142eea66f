// The lab's run: many of the product's own peers, with faults, to the bit the same for the same options.
import t from 'tap'
import { parseLabOptions, runLab } from '../../node/lab/run/index.ts'
import type { LabResult } from '../../node/lab/run/types.ts'
import { blobFiles } from '../helpers/blobs.ts'
import { runQuickly } from '../helpers/quick-lab.ts'

const run = runQuickly(t.testdir(blobFiles(2400, 300)))

/** Without what depends on the machine. */
function comparable({ final, rounds, ...rest }: LabResult) {
  const { seconds: _, peakBytes: __, ...kept } = final
  return { ...rest, final: kept, rounds: rounds.map((round) => ({ ...round, realMillis: 0 })) }
}

t.test('honest peers learn, and pull what they should', async (t) => {
  const { rounds, final, warnings } = await run({ peers: 6, rounds: 3, partition: 'dirichlet:0.5' })
  t.strictSame(warnings, [])
  t.strictSame(
    rounds.map(({ round, aggregated, inputs }) => ({ round, aggregated, inputs })),
    [1, 2, 3].map((round) => ({ round, aggregated: 6, inputs: 6 })),
  )
  t.ok(final.accuracy.mean > 0.9, `accuracy ${final.accuracy.mean}`)
  t.ok(final.meanModelAccuracy > 0.9)
  t.ok(rounds.every(({ accuracy: { worst, mean, best } }) => worst <= mean && mean <= best))
  // Five models of 7850 parameters, a byte each.
  t.ok(rounds.every(({ bytesReceived }) => bytesReceived > 5 * 7850 && bytesReceived < 2 * 5 * 7850))
})

t.test('the same options give the same results to the bit, however many threads do the work; another seed gives others', async (t) => {
  const options = {
    peers: 8,
    byzantine: 1,
    attack: 'gaussian',
    topology: 'regular:4',
    drop: 0.2,
    churn: 0.2,
    delay: 40,
    rule: 'cs+',
    rounds: 3,
  }
  const [one, two, other] = [await run(options, 1), await run(options, 3), await run({ ...options, seed: 2 }, 2)]
  t.strictSame(comparable(one), comparable(two))
  t.notSame(comparable(other).rounds, comparable(one).rounds)
})

t.test('lost messages, peers that come and go, and slow links hold nobody up for good', async (t) => {
  const { rounds } = await run({ peers: 8, drop: 0.3, churn: 0.25, delay: 200, rounds: 4 })
  t.equal(rounds.length, 4)
  t.ok(
    rounds.some(({ aggregated }) => aggregated < 8),
    'somebody was away',
  )
  t.ok(rounds.every(({ aggregated }) => aggregated >= 4))
})

t.test('a table without a test set is cut by a column, which is no input then', async (t) => {
  const columns = [...Array(13).keys()].map((i) => `x${i}`)
  const rows = Array.from({ length: 360 }, (_, i) => [
    ...columns.map((_, c) => (c < 3 ? 0 : ((i * 7 + c) % 11) / 11)),
    i % 2,
    `site ${i % 6}`,
  ])
  const folder = t.testdir({ 'sites.csv': `${[...columns, 'label', 'site'].join()}\n${rows.map((row) => row.join()).join('\n')}\n` })
  const options = { data: `${folder}/sites.csv`, model: 'tabular', peers: 6, rounds: 1, steps: 2 }
  const said: string[] = []
  const result = await runLab(parseLabOptions({ ...options, partition: 'natural:site' }), {
    workers: 1,
    onProgress: (text) => void said.push(text),
  })
  t.equal(result.rounds.length, 1)
  t.match(said.join('\n'), /6 honest peers with \d+ to \d+ samples each, 60 to test with/)
  await t.rejects(run({ ...options, partition: 'natural:town' }), { code: 'data-invalid', message: /has no column "?town/ })
  await t.rejects(run({ ...options, partition: 'natural:label' }), { code: 'bad-argument', message: /that is the label/ })
  await t.rejects(run({ partition: 'natural:site' }), { code: 'bad-argument', message: /is no table with columns/ })
})
