// Attacks in the lab's run: who bears them, what is measured of them, and when they come.
import t from 'tap'
import { blobFiles } from '../helpers/blobs.ts'
import { runQuickly } from '../helpers/quick-lab.ts'

const run = runQuickly(t.testdir(blobFiles(2400, 300)))

t.test('an attack that destroys the mean does not destroy a robust rule', async (t) => {
  const attacked = { peers: 9, byzantine: 2, attack: 'sign-flip(8)', rounds: 3 }
  const mean = await run({ ...attacked, rule: 'mean' })
  const trimmed = await run({ ...attacked, rule: 'trimmed-mean' })
  t.ok(mean.final.accuracy.mean < 0.5, `mean ${mean.final.accuracy.mean}`)
  t.ok(trimmed.final.accuracy.mean > 0.9, `trimmed mean ${trimmed.final.accuracy.mean}`)
  t.ok(
    mean.rounds.every(({ attackersWeight }) => Math.abs(attackersWeight - 2 / 9) < 1e-6),
    'a mean weighs all alike',
  )
  t.ok(trimmed.rounds.every(({ attackersWeight }) => attackersWeight < 0.15))
})

t.test('a backdoor is measured: it gets into the mean, and not into a robust rule', async (t) => {
  const attacked = { peers: 8, byzantine: 2, attack: 'backdoor', rounds: 3 }
  const success = async (rule: string) => (await run({ ...attacked, rule })).final.success!
  t.ok((await success('mean')) > 0.8)
  t.ok((await success('nnm | trimmed-mean')) < 0.3)
})

t.test('attacks that tell each receiver something else are handed over past the protocol; rules for the lab alone run', async (t) => {
  const attacked = { peers: 8, byzantine: 2, attack: 'dissensus(4)', partition: 'shards:2' }
  const apart = (await run({ ...attacked, rule: 'mean' })).final.accuracy.spread
  t.equal((await run({ peers: 6, rule: 'mean', partition: 'shards:2' })).final.accuracy.spread < 1e-9, true)
  t.ok(apart > 0.01, `spread ${apart}`)
  for (const rule of ['ios', 'ubar'])
    t.ok((await run({ ...attacked, rule, attack: 'alie', partition: 'iid' })).final.accuracy.mean > 0.8, rule)
})

t.test('a fanout is how many are pulled from, and attackers may come late or begin late', async (t) => {
  const { rounds } = await run({ peers: 12, fanout: 5, rounds: 2 })
  t.ok(rounds.every(({ inputs }) => inputs === 6))
  const sybil = await run({ peers: 8, byzantine: 2, attack: 'sybil(2) | sign-flip(8)', rule: 'mean', rounds: 3 })
  t.equal(sybil.rounds[0]?.attackersWeight, 0)
  t.ok(sybil.rounds.at(-1)!.attackersWeight > 0.2)
  const sleeper = await run({ peers: 8, byzantine: 2, attack: 'sleeper(2) | sign-flip(8)', rule: 'mean', rounds: 3 })
  t.ok(sleeper.rounds[1]!.accuracy.mean > 0.8 && sleeper.rounds[2]!.accuracy.mean < sleeper.rounds[1]!.accuracy.mean)
})
