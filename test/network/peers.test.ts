// Networks of real processes over TCP.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { murmur, quick, quickTask } from '../helpers/processes.ts'

t.setTimeout(180_000)

/** A founder and joiners in directories of their own. */
async function network(t: import('tap').Test, peers: number, rounds: number, extra: (i: number) => string[] = () => []) {
  const dir = t.testdir({})
  const founder = murmur(t, ['start', join(dir, '1'), ...quickTask(peers, rounds), ...quick(`1/${peers}`), ...extra(1)])
  const { joinLine } = await founder.event('ready')
  const joinArguments = (i: number) => ['join', joinLine, '--dir', join(dir, String(i)), ...quick(`${i}/${peers}`), ...extra(i)]
  const joiners = Array.from({ length: peers - 1 }, (_, i) => murmur(t, joinArguments(i + 2)))
  return { dir, joinLine, joinArguments, processes: [founder, ...joiners] }
}

t.test('peers that meet through one address train together to the end and write a model', async (t) => {
  const { processes, dir } = await network(t, 4, 4)
  const finished = await Promise.all(processes.map((peer) => peer.event('finished')))
  for (const [i, { round, accuracy, model }] of finished.entries()) {
    t.equal(round, 4)
    t.ok((accuracy ?? 0) > 0.6, `peer ${i + 1} has learned: ${accuracy}`)
    t.equal(model, join(dir, String(i + 1), 'model.onnx'))
    t.ok(existsSync(model ?? ''))
  }
  for (const peer of processes) {
    const used = peer.events.filter((event) => event.type === 'aggregated')
    t.equal(used.length, 4)
    t.ok(used.every((event) => event.inputs.length >= 3 && event.f === 1))
    t.equal(
      peer.events.filter((event) => event.type === 'rejected' && event.code !== 'duplicate' && event.code !== 'stale-round').length,
      0,
    )
  }
  t.equal((await stat(join(dir, '1', 'identity.key'))).mode & 0o777, 0o600)
})

t.test('kill -9 of one: the others go on, and the same command brings it back as itself', async (t) => {
  const { processes, joinArguments } = await network(t, 4, 12)
  const victim = processes[2]!
  const { peer } = await victim.event('ready')
  await victim.event('aggregated', (event) => event.round === 2)
  victim.child.kill('SIGKILL')
  await victim.exit()
  const others = processes.filter((process) => process !== victim)
  const seen = Math.max(...others.map((process) => process.events.findLast((event) => event.type === 'aggregated')?.round ?? 0))
  await Promise.all(others.map((process) => process.event('aggregated', (event) => event.round > seen)))
  const back = murmur(t, joinArguments(3))
  const ready = await back.event('ready')
  t.equal(ready.peer, peer)
  t.equal(ready.resumed, true)
  await Promise.all([...others, back].map((process) => process.event('finished')))
  for (const process of [...others, back]) {
    t.notOk(
      process.events.some((event) => event.type === 'equivocation'),
      'nothing was signed twice',
    )
  }
})

t.test('a founder that dies is not missed', async (t) => {
  const { processes } = await network(t, 5, 6)
  const [founder, ...others] = processes
  await Promise.all(others.map((process) => process.event('aggregated', (event) => event.round === 2)))
  founder!.child.kill('SIGKILL')
  const finished = await Promise.all(others.map((process) => process.event('finished')))
  t.ok(finished.every((event) => event.round === 6))
})

t.test('attackers that send NaN, huge values and reversed steps are counted, and the rest learn', async (t) => {
  const attacks = ['nan', 'huge', 'sign-flip:4']
  const { processes } = await network(t, 4, 3, (i) => (i === 4 ? ['--misbehave', attacks[0]!] : []))
  await Promise.all(processes.slice(0, 3).map((process) => process.event('finished')))
  t.ok(processes[0]!.events.some((event) => event.type === 'rejected' && event.code === 'not-finite'))
  const second = await network(t, 4, 3, (i) => (i === 4 ? ['--misbehave', attacks[1]!] : []))
  await Promise.all(second.processes.slice(0, 3).map((process) => process.event('finished')))
  t.ok(second.processes[0]!.events.some((event) => event.type === 'rejected' && event.code === 'out-of-bounds'))
})

t.test('a bootstrap that comes up late is waited for, and each attempt is told', async (t) => {
  const dir = t.testdir({})
  const early = murmur(t, ['start', join(dir, '1'), ...quickTask(2, 1), ...quick('1/2'), '--byzantine-share', '0'])
  const { addresses, joinLine } = await early.event('ready')
  early.child.kill('SIGTERM')
  await early.exit(5000)
  const joiner = murmur(t, ['join', joinLine, '--dir', join(dir, '2'), ...quick('2/2')])
  const { message } = await joiner.event('warning', (event) => event.code === 'bootstrap-unreachable')
  t.match(message, addresses[0])
  t.match(message, /next in/)
  const again = murmur(t, ['start', join(dir, '1'), '--json'])
  t.same((await again.event('ready')).addresses, addresses, 'the same addresses after a restart')
  await Promise.all([joiner.event('finished'), again.event('finished')])
})

t.test('Ctrl-C stops a peer within two seconds and says how to go on', async (t) => {
  const { processes, dir } = await network(t, 3, 50)
  await Promise.all(processes.map((process) => process.event('aggregated')))
  const asked = performance.now()
  processes[1]!.child.kill('SIGINT')
  t.equal(await processes[1]!.exit(10_000), 0)
  t.comment(`stopped after ${Math.round(performance.now() - asked)} ms`)
  t.match(processes[1]!.events.at(-1), { type: 'stopped', resume: `npx murmur start ${join(dir, '2')}` })
})

t.test('MURMUR_JOIN may name a file that comes later', async (t) => {
  const dir = t.testdir({})
  const file = join(dir, 'line')
  const joiner = murmur(t, ['join', '--dir', join(dir, '2'), ...quick('2/2')], { MURMUR_JOIN: file })
  const founder = murmur(t, ['start', join(dir, '1'), ...quickTask(2, 1), ...quick('1/2'), '--byzantine-share', '0', '--join-file', file])
  await Promise.all([founder.event('finished'), joiner.event('finished')])
  t.match(await readFile(file, 'utf8'), /^murmur1-/)
})

t.test('a join line whose hash is not the task that is offered there is refused', async (t) => {
  const { processes, joinLine, dir } = await network(t, 2, 1, () => ['--byzantine-share', '0'].slice(0, 0))
  const { encodeJoinLine, decodeJoinLine } = await import('../../protocol/join-line.ts')
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
  const wrong = encodeJoinLine({ ...decodeJoinLine(joinLine, sha256), task: 'ab'.repeat(32) }, sha256)
  const joiner = murmur(t, ['join', wrong, '--dir', join(dir, 'x'), ...quick('2/2')])
  t.equal(await joiner.exit(), 1)
  t.match(joiner.text(), /works on another task/)
  t.notMatch(joiner.text(), /\n\s+at /)
  t.equal(processes[0]!.child.exitCode, null, 'the peer that was asked lives on')
})
