// Real processes in a network that admits by invitation: who is let in, who is not, who is shut out, and that it stays so.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { decodeJoinLine, encodeJoinLine } from '../../protocol/join-line.ts'
import { sha256 } from '../helpers/keys.ts'
import { type MurmurProcess, murmur, quick, quickTask, temporaryFolder } from '../helpers/processes.ts'

t.setTimeout(300_000)

/** Peers that never run out of rounds within a test. */
async function scene(t: Test, minPeers: number) {
  const dir = temporaryFolder(t)
  const at = (name: string) => join(dir, name)
  const task = [...quickTask(minPeers, 100_000), '--admission', 'invite', '--byzantine-share', '0']
  const founder = murmur(t, ['start', at('a'), ...task, ...quick('1/4')])
  const { joinLine } = await founder.event('ready')
  const joins = (name: string, line: string, shard = '2/4') => murmur(t, ['join', line, '--dir', at(name), '--yes', ...quick(shard)])
  const again = (name: string) => murmur(t, ['start', at(name), '--json'])
  return { at, founder, joinLine, joins, again }
}

/** What a command prints with --json. */
async function command<T>(t: Test, ...args: string[]): Promise<T> {
  const process = murmur(t, [...args, '--json'])
  const code = await process.exit()
  if (code !== 0) throw new Error(process.text())
  return JSON.parse(process.text().trim().split('\n').at(-1)!) as T
}

async function end(process: MurmurProcess): Promise<void> {
  process.child.kill('SIGTERM')
  await process.exit(20_000)
}

t.test('an invite lets its bearer in; an address alone does not, and the sentence says how to get in', async (t) => {
  const { at, founder, joinLine, joins } = await scene(t, 2)
  const { addresses } = decodeJoinLine(joinLine, sha256)
  const stranger = joins('b', addresses[0]!)
  t.equal(await stranger.exit(), 1)
  const [, id] = /your peer id is (12D3KooW\w+): ask an admin for/.exec(stranger.text()) ?? []
  t.ok(id, stranger.text())
  const { joinLine: forB } = await command<{ joinLine: string }>(t, 'invite', at('a'), '--peer', id!)
  t.ok(decodeJoinLine(forB, sha256).membership)
  const b = joins('b', forB)
  t.equal((await b.event('ready')).peer, id, 'the same peer as the one that was told its id')
  const c = joins('c', joinLine, '3/4')
  await c.event('ready')
  await Promise.all([founder, b, c].map((peer) => peer.event('aggregated', ({ inputs }) => inputs.length === 3)))

  const { members, role } = await command<{ members: { peer: string; connected: boolean }[]; role: string }>(t, 'peers', at('a'))
  t.equal(role, 'admin')
  t.equal(members.filter(({ connected }) => connected).length, 2)
  const notAdmin = murmur(t, ['invite', at('b')])
  t.equal(await notAdmin.exit(), 1)
  t.match(notAdmin.text(), /is no admin of the network/)
})

t.test('a revoked peer is out everywhere, also where nobody knew of it, and after a restart of all', async (t) => {
  const { at, founder, joinLine, joins, again } = await scene(t, 2)
  const [b, c] = [joins('b', joinLine), joins('c', joinLine, '3/4')]
  const { peer } = await c.event('ready')
  await b.event('aggregated', ({ inputs }) => inputs.length === 3)
  await end(b)

  const { revoked } = await command<{ revoked: string[] }>(t, 'revoke', at('a'), peer.slice(-8))
  t.same(revoked, [peer])
  await founder.event('member', (event) => event.peer === peer && !event.member && event.why === 'revoked')
  t.equal(await c.exit(), 1, 'it stops')
  t.match(c.text(), /membership of this peer was revoked/)

  // All start again: b has heard nothing of it, and c still has all that it had.
  await end(founder)
  const [first, back, cut] = [again('a'), again('b'), again('c')]
  t.equal(await cut.exit(), 1)
  await back.event('member', (event) => event.peer === peer && !event.member)
  await Promise.all([first, back].map((one) => one.event('aggregated', ({ inputs }) => inputs.length === 2)))
  const hasIt = (event: MurmurProcess['events'][number]) =>
    event.type === 'aggregated' && event.inputs.some(({ author }) => author === peer)
  t.notOk([first, back].some(({ events }) => events.some(hasIt)))
})

t.test('the founder may be away: members are made offline, and admins carry on', async (t) => {
  const { at, founder, joinLine, joins, again } = await scene(t, 2)
  const { joinLine: forAdmin } = await command<{ joinLine: string }>(t, 'invite', at('a'), '--role', 'admin')
  const b = joins('b', forAdmin)
  await b.event('aggregated')
  const stranger = joins('c', decodeJoinLine(joinLine, sha256).addresses[0]!)
  t.equal(await stranger.exit(), 1)
  const [id] = /12D3KooW\w+/.exec(stranger.text().slice(stranger.text().indexOf('your peer id')))!
  await end(founder)
  const { joinLine: forC } = await command<{ joinLine: string }>(t, 'invite', at('a'), '--peer', id)
  const line = decodeJoinLine(forC, sha256)
  t.ok(line.membership)
  // Signed by the founder, so that a member that has not heard of it takes it too.
  const { addresses } = await b.event('ready')
  const c = joins('c', encodeJoinLine({ ...line, addresses }, sha256), '3/4')
  await c.event('aggregated')
  await again('a').event('aggregated', ({ inputs }) => inputs.length >= 2)
})

t.test('who has lost its membership and knows no address is told what to do', async (t) => {
  const { at, founder, again } = await scene(t, 2)
  await end(founder)
  for (const file of ['members', 'founder.key']) rmSync(join(at('a'), file))
  const a = again('a')
  t.equal(await a.exit(), 1)
  t.match(a.text(), /holds no membership that counts.*--bootstrap/)
})
