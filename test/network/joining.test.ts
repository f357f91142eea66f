// Real processes that find each other, or are told why not.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { decodeJoinLine, encodeJoinLine } from '../../protocol/join-line.ts'
import { sha256 } from '../helpers/keys.ts'
import { murmur, quick, quickTask, temporaryFolder } from '../helpers/processes.ts'

t.setTimeout(300_000)

t.test('a join line that comes late, a bootstrap that comes up later still, and a line whose hash is not the task there', async (t) => {
  const dir = temporaryFolder(t)
  const [written, awaited] = [join(dir, 'written'), join(dir, 'awaited')]
  const joiner = murmur(t, ['join', '--dir', join(dir, '2'), ...quick('2/2')], { MURMUR_JOIN: awaited })
  const task = [...quickTask(2, 1), '--byzantine-share', '0', '--join-file', written]
  const early = murmur(t, ['start', join(dir, '1'), ...task, ...quick('1/2')])
  const { addresses, joinLine } = await early.event('ready')
  t.equal((await readFile(written, 'utf8')).trim(), joinLine)
  early.child.kill('SIGTERM')
  await early.exit()

  await writeFile(awaited, joinLine)
  const { message } = await joiner.event('warning', (event) => event.code === 'bootstrap-unreachable')
  t.match(message, addresses[0], 'each attempt is told')
  t.match(message, /next in/)
  const again = murmur(t, ['start', join(dir, '1'), '--json'])
  t.same((await again.event('ready')).addresses, addresses, 'the same addresses after a restart')
  await Promise.all([joiner.event('finished'), again.event('finished')])

  const wrong = encodeJoinLine({ ...decodeJoinLine(joinLine, sha256), task: 'ab'.repeat(32) }, sha256)
  const misled = murmur(t, ['join', wrong, '--dir', join(dir, 'x'), ...quick('2/2')])
  t.equal(await misled.exit(), 1)
  t.match(misled.text(), /works on another task/)
  t.notMatch(misled.text(), /\n\s+at /)
  t.equal(again.child.exitCode, null, 'the peer that was asked lives on')
})
