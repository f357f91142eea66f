// A process whose clock leaps; what leaps do to rounds is in test/peer/clock-leap.test.ts.
import t from 'tap'
import { murmur, quick, quickTask, temporaryFolder } from '../helpers/processes.ts'

t.test('a real process whose clock leaps trains on with the others', async (t) => {
  // Each SIGUSR2 sets the clock: hours forward, then to 1970.
  const dir = temporaryFolder(t, {
    'leap.mjs': `const now = Date.now
const leaps = [() => now() + 6 * 3_600_000, () => 1000]
let ahead = 0
Date.now = () => now() + ahead
process.on('SIGUSR2', () => {
  ahead = leaps.shift()() - now()
  process.stderr.write('the clock says ' + new Date(Date.now()).toISOString() + String.fromCharCode(10))
})
`,
  })
  const founder = murmur(t, ['start', `${dir}/1`, ...quickTask(3, 12), '--byzantine-share', '0', ...quick('1/3')])
  const { joinLine } = await founder.event('ready')
  const join = (i: number, env = {}) => murmur(t, ['join', joinLine, '--dir', `${dir}/${i}`, ...quick(`${i}/3`)], env)
  const leaping = join(2, { NODE_OPTIONS: `--import ${dir}/leap.mjs` })
  const peers = [founder, leaping, join(3)]
  for (const [round, said] of [
    [3, 'the clock says 20'],
    [6, 'the clock says 1970'],
  ] as const) {
    await leaping.event('aggregated', (event) => event.round >= round)
    leaping.child.kill('SIGUSR2')
    await leaping.event('aggregated', (event) => event.round > round)
    t.ok(leaping.text().includes(said))
  }
  for (const peer of peers) await peer.event('finished')
  for (const peer of peers) {
    t.same(
      peer.events.filter(({ type }) => type === 'equivocation'),
      [],
    )
  }
  t.ok(leaping.events.filter(({ type }) => type === 'aggregated').length >= 10)
})
