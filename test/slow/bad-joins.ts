// Joining that cannot be, by the real command: an invite used twice, its issuer away, nobody at any address, a task of a newer version.
import { join } from 'node:path'
import t from 'tap'
import { sealEnvelope } from '../../protocol/envelope.ts'
import { encodeTaskResponse, TASK_PROTOCOL } from '../../protocol/join.ts'
import { decodeJoinLine, encodeJoinLine, type JoinLine } from '../../protocol/join-line.ts'
import { sha256, signerOf } from '../helpers/keys.ts'
import { murmur, quick, quickTask, temporaryFolder } from '../helpers/processes.ts'
import { manifestOf } from '../helpers/task.ts'
import { startPeer } from '../network/libp2p-peers.ts'
import { eventually } from '../network/recorder.ts'

t.setTimeout(180_000)

t.test('an invite used twice, and one whose issuer is away, are a sentence each; nobody waits in silence', async (t) => {
  const dir = temporaryFolder(t)
  const at = (name: string) => join(dir, name)
  const task = [...quickTask(1, 100_000), '--admission', 'invite', '--byzantine-share', '0']
  const founder = murmur(t, ['start', at('a'), ...task, ...quick('1/4')])
  const { joinLine } = await founder.event('ready')
  t.match(founder.text(), /With 1 peer and a byzantine share of 0 %, every peer is trusted/)
  await founder.event('aggregated', ({ inputs }) => inputs.length === 1)
  const invite = murmur(t, ['invite', at('a'), '--uses', '1', '--json'])
  t.equal(await invite.exit(), 0, invite.text())
  const once = JSON.parse(invite.text()).joinLine as string
  const joins = (name: string, line: string) => murmur(t, ['join', line, '--dir', at(name), '--yes', ...quick('2/4')])
  const b = joins('b', once)
  const { addresses } = await b.event('ready')
  t.notOk(
    b.events.some(({ type }) => type === 'warning'),
    'who is let in is warned of nothing',
  )
  const c = joins('c', once)
  t.equal(await c.exit(), 1)
  t.match(c.text(), /Not admitted: the invite is used up; your peer id is 12D3KooW\w+: ask an admin for `murmur invite --peer/)

  founder.child.kill('SIGKILL')
  await founder.exit()
  const line: JoinLine = { ...decodeJoinLine(joinLine, sha256), addresses }
  const d = joins('d', encodeJoinLine(line, sha256))
  const away =
    /Not a member yet \(asked …\w+: the issuer of the invite is not reachable now \(…\w+\); ask again later, or ask another admin/
  await eventually('the word of it', () => away.test(d.text()))
  t.equal(d.child.exitCode, null, 'it goes on asking')
})

t.test(
  'where nobody answers at any address of a line, each is named again and again, commands say what is waited for, and Ctrl-C ends it',
  async (t) => {
    const dir = join(temporaryFolder(t), 'b')
    const peer = signerOf('nobody').peerId
    const addresses = [1, 2, 3].map((port) => `/ip4/127.0.0.1/tcp/${port}/p2p/${peer}`)
    const line = encodeJoinLine({ task: 'ab'.repeat(32), addresses }, sha256)
    const joiner = murmur(t, ['join', line, '--dir', dir, ...quick('2/4')])
    for (const address of addresses) {
      await joiner.event('warning', ({ message }) => message.startsWith(`${address} does not answer (connection refused); attempt 3`))
    }
    const status = murmur(t, ['status', dir])
    const starting = `is still starting (Looking for the network at ${addresses[0]}); waiting for it ...`
    await eventually('the word of it', () => status.text().includes(starting))
    status.child.kill('SIGKILL')
    joiner.child.kill('SIGINT')
    await joiner.exit(10_000)
    t.notMatch(joiner.text(), /\n\s+at /)
  },
)

t.test('a task of a newer version is not run, and the sentence says what to do', async (t) => {
  const dir = temporaryFolder(t)
  const manifest = new TextEncoder().encode(JSON.stringify({ ...manifestOf(), version: 2, somethingNew: true }))
  const envelope = sealEnvelope('murmuration-task', manifest, signerOf('founder'))
  const network = await startPeer(t)
  network.serve(TASK_PROTOCOL, async () => encodeTaskResponse(envelope))
  const joiner = murmur(t, ['join', network.addresses()[0]!, '--dir', join(dir, 'b'), ...quick('2/4')])
  t.equal(await joiner.exit(), 1)
  t.match(joiner.text(), /version 2.*update/i)
  t.notMatch(joiner.text(), /\n\s+at /)
})
