// Starts that are safe only with a word: too few peers for what may be malicious, and a machine whose clock says 1970.
import { join } from 'node:path'
import t from 'tap'
import { murmur, quick, quickTask, temporaryFolder } from '../helpers/processes.ts'

t.setTimeout(120_000)

/** What Date.now() says in a process that is started with it: seconds after 1970 began. */
const EPOCH = `--import=data:text/javascript,const%20real=Date.now,began=real();Date.now=()=>60000+real()-began`

t.test('a share that makes n <= 3b, or even n <= 2b, is said when the network is founded', async (t) => {
  const dir = temporaryFolder(t)
  const found = (name: string, peers: number) => murmur(t, ['start', join(dir, name), ...quickTask(peers, 10), ...quick('1/4')])
  const [silent, unsafe] = [found('a', 3), found('b', 2)]
  await Promise.all([silent, unsafe].map((peer) => peer.event('ready')))
  t.match(silent.text(), /up to 1 may be malicious: safe \(3 > 2\), but it can hold up rounds by staying silent \(3 is not more than 3\)/)
  t.match(unsafe.text(), /up to 1 may be malicious: not safe \(2 is not more than 2\), so no round ends before 3 peers take part/)
})

t.test('with a clock in 1970 a network is founded and joined; what needs a clock says so', async (t) => {
  const dir = temporaryFolder(t)
  const at = (name: string) => join(dir, name)
  const task = [...quickTask(2, 100_000), '--admission', 'invite', '--byzantine-share', '0']
  const founder = murmur(t, ['start', at('a'), ...task, ...quick('1/4')], { NODE_OPTIONS: EPOCH })
  const { joinLine } = await founder.event('ready')
  const { message } = await founder.event('warning')
  t.match(message, /What is to expire needs a clock, and this machine's says 1970; set it, or let nothing expire/)
  const stranger = murmur(t, ['join', joinLine, '--dir', at('b'), '--yes', ...quick('2/4')])
  t.equal(await stranger.exit(), 1)
  t.match(stranger.text(), /This network admits by invitation/, 'the line holds no invite')
  const invite = murmur(t, ['invite', at('a'), '--expires', 'never', '--json'])
  t.equal(await invite.exit(), 0, invite.text())
  const b = murmur(t, ['join', JSON.parse(invite.text()).joinLine, '--dir', at('b'), '--yes', ...quick('2/4')])
  await Promise.all([founder, b].map((peer) => peer.event('aggregated', ({ inputs }) => inputs.length === 2)))
})
