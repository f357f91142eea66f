// Real processes that find each other, or are told why not.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { decodeJoinLine, encodeJoinLine } from '../../protocol/join-line.ts'
import { murmur, network, quick, quickTask, temporaryFolder } from '../helpers/processes.ts'

t.setTimeout(300_000)

t.test('a bootstrap that comes up late is waited for, and each attempt is told', async (t) => {
  const dir = temporaryFolder(t)
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

t.test('MURMUR_JOIN may name a file that comes later', async (t) => {
  const dir = temporaryFolder(t)
  const file = join(dir, 'line')
  const joiner = murmur(t, ['join', '--dir', join(dir, '2'), ...quick('2/2')], { MURMUR_JOIN: file })
  const founder = murmur(t, ['start', join(dir, '1'), ...quickTask(2, 1), ...quick('1/2'), '--byzantine-share', '0', '--join-file', file])
  await Promise.all([founder.event('finished'), joiner.event('finished')])
  t.match(await readFile(file, 'utf8'), /^murmur1-/)
})

t.test('a join line whose hash is not the task that is offered there is refused', async (t) => {
  const { processes, joinLine, dir } = await network(t, 2, 1)
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
  const wrong = encodeJoinLine({ ...decodeJoinLine(joinLine, sha256), task: 'ab'.repeat(32) }, sha256)
  const joiner = murmur(t, ['join', wrong, '--dir', join(dir, 'x'), ...quick('2/2')])
  t.equal(await joiner.exit(), 1)
  t.match(joiner.text(), /works on another task/)
  t.notMatch(joiner.text(), /\n\s+at /)
  t.equal(processes[0]!.child.exitCode, null, 'the peer that was asked lives on')
})
