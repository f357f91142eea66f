// Bad input on the command line: one clear sentence, no stack trace, exit code 1 or 2.

import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { murmur, temporaryFolder } from '../helpers/processes.ts'

const loopback = ['--listen', '/ip4/127.0.0.1/tcp/0']

/** Runs to the end and checks the shape of the complaint. */
async function fails(t: import('tap').Test, args: string[], sentence: RegExp | string, env: Record<string, string> = {}): Promise<void> {
  const process = murmur(t, args, env)
  const code = await process.exit()
  t.ok(code === 1 || code === 2, `exit code ${code}`)
  t.match(process.text(), sentence)
  t.notMatch(process.text(), /\n\s+at |node:internal|Error:/, 'no stack trace')
}

t.test('a wrong join line', async (t) => {
  await fails(t, ['join', 'hello', '--data', 'mnist'], /"hello" is neither a join line/)
  await fails(t, ['join', 'murmur1-abc', '--data', 'mnist'], /cut off or was changed/)
  await fails(t, ['join', '--data', 'mnist'], /No join line is given/, { MURMUR_JOIN: '' })
})

t.test('data that is missing, unreadable or no data', async (t) => {
  const dir = temporaryFolder(t, { empty: {}, 'file.txt': 'x' })
  await fails(t, ['start', join(dir, 'a'), '--data', join(dir, 'nowhere'), ...loopback], /nowhere/)
  await fails(t, ['start', join(dir, 'b'), '--data', join(dir, 'empty'), ...loopback], /empty/)
  await fails(t, ['start', join(dir, 'c'), '--data', join(dir, 'file.txt'), ...loopback], /file\.txt/)
  await fails(t, ['start', join(dir, 'd'), ...loopback], /No data is named/)
})

t.test('a port in use', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  await fails(
    t,
    ['start', join(temporaryFolder(t), 'a'), '--data', 'mnist', '--listen', `/ip4/127.0.0.1/tcp/${port}`],
    new RegExp(String(port)),
  )
})

t.test('options that cannot be', async (t) => {
  const dir = temporaryFolder(t)
  await fails(t, ['start', join(dir, 'a'), '--rule', 'guess', '--data', 'mnist', ...loopback], /guess/)
  await fails(t, ['start', join(dir, 'b'), '--min-peers', 'many', '--data', 'mnist'], /--min-peers cannot be "many"/)
  await fails(t, ['start', join(dir, 'c'), '--shard', '3', '--data', 'mnist'], /--shard cannot be "3"/)
  await fails(t, ['start', join(dir, 'd'), '--shard', '7/4', '--data', 'mnist', ...loopback], /7/)
  await fails(t, ['start', join(dir, 'e'), '--model', 'resnet', '--data', 'mnist', ...loopback], /resnet/)
  await fails(t, ['start', join(dir, 'f'), '--misbehave', 'sign-flip', '--data', 'mnist', ...loopback], /test-task/)
  await fails(t, ['start', join(dir, 'g'), '--surprise'], /unknown option/)
  await fails(t, ['demo', '--peers', '3', '--attackers', '2'], /3 peers cannot withstand 2 attackers/)
  await fails(t, ['demo', '--attack', 'lies'], /"lies" is unknown/)
  await fails(t, ['status', join(dir, 'h')], /No peer runs in/)
})

t.test('membership commands that cannot be', async (t) => {
  const dir = temporaryFolder(t)
  await fails(t, ['peers', dir], /No peer runs in/)
  await fails(t, ['revoke', dir, 'murmur1-abc'], /cut off or was changed/)
  await fails(t, ['invite', dir, '--expires', 'soon'], /--expires cannot be "soon": give a time such as 12h/)
  await fails(t, ['invite', dir, '--uses', '0'], /--uses/)
  await fails(t, ['invite', dir, '--peer', '12D3', '--uses', '3'], /--uses is for invites/)
  await fails(t, ['invite', dir, '--peer', '12D3'], /"12D3" is no peer id/)
  await fails(t, ['invite', dir, '--role', 'king'], /--role/)
})

t.test('the same start command again is a restart; another task for the same directory is refused', async (t) => {
  const dir = join(temporaryFolder(t), 'a')
  const start = ['start', dir, '--data', 'mnist', '--shard', '1/9', '--model', 'softmax', '--min-peers', '3', ...loopback]
  await fails(t, ['start', dir, '--data', 'nowhere', '--rounds', '7', ...loopback], /nowhere/)
  const first = murmur(t, [...start, '--json'])
  const { peer, task } = await first.event('ready')
  first.child.kill('SIGKILL')
  await first.exit()
  const again = murmur(t, [...start, '--json'])
  t.match(await again.event('ready'), { peer, task, resumed: true })
  again.child.kill('SIGTERM')
  await again.exit()
  await fails(t, ['start', dir, '--min-peers', '5'], /minPeers is 3, which cannot become 5/)
})

t.test('mistakes in murmur.yaml are named with the file and the key', async (t) => {
  const dir = temporaryFolder(t, { 'murmur.yaml': 'threads: many\n' })
  await fails(t, ['start', dir, '--data', 'mnist'], /threads in .*murmur\.yaml cannot be "many"/)
  await writeFile(join(dir, 'murmur.yaml'), 'thread: 2\n')
  await fails(t, ['start', dir, '--data', 'mnist'], /unknown key "thread"/)
  await writeFile(join(dir, 'murmur.yaml'), 'a: [1\n')
  await fails(t, ['start', dir, '--data', 'mnist'], /not YAML at line/)
})

t.test('two processes on one directory: the second refuses', async (t) => {
  const dir = join(temporaryFolder(t), 'a')
  const first = murmur(t, ['start', dir, '--json', '--data', 'mnist', '--model', 'softmax', '--shard', '1/9', ...loopback])
  await first.event('ready')
  await fails(t, ['start', dir, '--json'], new RegExp(dir))
  t.equal(first.child.exitCode, null)
})

t.test('help teaches by examples', async (t) => {
  for (const command of ['start', 'join', 'status', 'invite', 'peers', 'revoke', 'demo']) {
    const help = murmur(t, [command, '--help'])
    t.equal(await help.exit(), 0)
    t.match(help.text(), /Examples?:/)
  }
})
