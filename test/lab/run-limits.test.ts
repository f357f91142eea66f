// What a run of the lab refuses, warns of, or is stopped by.
import t from 'tap'
import { parseLabOptions, runLab } from '../../node/lab/run/index.ts'
import { blobFiles } from '../helpers/blobs.ts'
import { quickLab, runQuickly } from '../helpers/quick-lab.ts'

const data = t.testdir(blobFiles(600, 300))
const run = runQuickly(data)

t.test('what is too small is said before the first round: a refusal, or a warning', async (t) => {
  await t.rejects(run({ peers: 5, byzantine: 2, attack: 'alie', rule: 'krum' }), {
    code: 'too-few-inputs',
    message: /The rule "krum" needs at least 7 models to withstand 2, and each peer has 5 with its own/,
  })
  await t.rejects(run({ peers: 8, topology: 'ring', f: 2, rule: 'trimmed-mean' }), {
    code: 'too-few-inputs',
    message: /peer 0 has 3 with its own/,
  })
  const { warnings } = await run({ peers: 5, byzantine: 2, attack: 'alie', rule: 'trimmed-mean', rounds: 1 })
  t.match(warnings, [/5 peers are not more than 3 x 2/, /Of 5 models the trimmed mean leaves out 4: what is left is the median/])
  const untold = await run({ peers: 6, byzantine: 2, attack: 'alie', rule: 'trimmed-mean', f: 0, rounds: 1 })
  t.match(untold.warnings, [/not more than 3 x 2/, /There are attackers, and the rule is told of none/])
})

t.test('a run that is stopped ends at once, and a mistake in an attack ends it with a sentence', async (t) => {
  const stopping = new AbortController()
  const options = parseLabOptions({ ...quickLab(data), peers: 6, rounds: 1000 })
  const stopped = runLab(options, { workers: 1, signal: stopping.signal, onRound: () => stopping.abort() })
  await t.rejects(stopped, { code: 'cancelled' })
  await t.rejects(run({ peers: 6, byzantine: 1, attack: 'mimic(9)' }), { code: 'bad-argument', message: /copies row 9, but there are 5/ })
})
