// Bad input on the command line: one clear sentence, no stack trace, exit code 1 or 2.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { command, mistakes, misused, run } from '../helpers/commands.ts'
import { murmur, temporaryFolder } from '../helpers/processes.ts'

const loopback = ['--listen', '/ip4/127.0.0.1/tcp/0']

t.test('a process of its own says it on stderr and ends with 1; one that helps, on stdout and with 0', async (t) => {
  const [wrong, unknown, help] = await Promise.all([
    run(['join', 'hello', '--data', 'mnist']),
    run(['start', '--surprise']),
    run(['--help']),
  ])
  t.match(wrong, { code: 1, out: '', err: /^murmur: "hello" is neither a join line[^\n]*\n$/ })
  t.match(unknown, { code: 1, out: '', err: /^error: unknown option '--surprise'\n/ })
  t.match(help, { code: 0, out: /Examples:/, err: '' })
})

t.test('a wrong join line', async (t) => {
  await mistakes(
    t,
    [
      [['join', 'hello', '--data', 'mnist'], /"hello" is neither a join line/],
      [['join', 'murmur1-abc', '--data', 'mnist'], /cut off or was changed/],
      [['join', '--data', 'mnist'], /No join line is given/],
    ],
    { MURMUR_JOIN: '' },
  )
})

t.test('data that is missing, unreadable or no data', async (t) => {
  const dir = temporaryFolder(t, { empty: {}, 'file.txt': 'x' })
  const start = (name: string, data: string) => ['start', join(dir, name), '--data', join(dir, data), ...loopback]
  await mistakes(t, [
    [start('a', 'nowhere'), /nowhere/],
    [start('b', 'empty'), /empty/],
    [start('c', 'file.txt'), /file\.txt/],
    [['start', join(dir, 'd'), ...loopback], /No data is named/],
  ])
})

t.test('a port in use', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const args = ['start', join(temporaryFolder(t), 'a'), '--data', 'mnist', '--listen', `/ip4/127.0.0.1/tcp/${port}`]
  await mistakes(t, [[args, new RegExp(String(port))]])
})

t.test('options that cannot be', async (t) => {
  const dir = temporaryFolder(t)
  const start = (name: string, ...args: string[]) => ['start', join(dir, name), '--data', 'mnist', ...loopback, ...args]
  await mistakes(t, [
    [start('a', '--rule', 'guess'), /guess/],
    [start('b', '--min-peers', 'many'), /--min-peers cannot be "many"/],
    [start('c', '--shard', '3'), /--shard cannot be "3"/],
    [start('d', '--shard', '7/4'), /7/],
    [start('e', '--model', 'resnet'), /resnet/],
    [start('f', '--misbehave', 'sign-flip'), /test-task/],
    [['demo', '--peers', '3', '--attackers', '2'], /3 peers cannot withstand 2 attackers/],
    [['demo', '--attack', 'lies'], /"lies" is unknown/],
    [['status', join(dir, 'h')], /No peer runs in/],
  ])
  await misused(t, ['start', join(dir, 'g'), '--surprise'], /unknown option/)
})

t.test('membership commands that cannot be', async (t) => {
  const dir = temporaryFolder(t)
  await mistakes(t, [
    [['peers', dir], /No peer runs in/],
    [['revoke', dir, 'murmur1-abc'], /cut off or was changed/],
    [['invite', dir, '--expires', 'soon'], /--expires cannot be "soon": give a time such as 12h/],
    [['invite', dir, '--peer', '12D3', '--uses', '3'], /--uses is for invites/],
    [['invite', dir, '--peer', '12D3'], /"12D3" is no peer id/],
  ])
  await misused(t, ['invite', dir, '--uses', '0'], /--uses/)
  await misused(t, ['invite', dir, '--role', 'king'], /--role/)
})

t.test('the same start command again is a restart; another task for the same directory is refused, and a second process', async (t) => {
  const dir = join(temporaryFolder(t), 'a')
  const start = ['start', dir, '--data', 'mnist', '--shard', '1/9', '--model', 'softmax', '--min-peers', '3', ...loopback]
  await mistakes(t, [[['start', dir, '--data', 'nowhere', '--rounds', '7', ...loopback], /nowhere/]])
  const first = murmur(t, [...start, '--json'])
  const { peer, task } = await first.event('ready')
  first.child.kill('SIGKILL')
  await first.exit()
  const again = murmur(t, [...start, '--json'])
  t.match(await again.event('ready'), { peer, task, resumed: true })
  await mistakes(t, [[['start', dir, '--json'], new RegExp(dir)]])
  t.equal(again.child.exitCode, null, 'the first goes on')
  again.child.kill('SIGTERM')
  await again.exit()
  await mistakes(t, [[['start', dir, '--min-peers', '5'], /minPeers is 3, which cannot become 5/]])
})

t.test('mistakes in murmur.yaml are named with the file and the key', async (t) => {
  const texts = ['threads: many\n', 'thread: 2\n', 'a: [1\n']
  const dir = temporaryFolder(t, Object.fromEntries(texts.map((text, i) => [`${i}`, { 'murmur.yaml': text }])))
  const start = (i: number) => ['start', join(dir, `${i}`), '--data', 'mnist']
  await mistakes(t, [
    [start(0), /threads in .*murmur\.yaml cannot be "many"/],
    [start(1), /unknown key "thread"/],
    [start(2), /not YAML at line/],
  ])
})

t.test('help teaches by examples', async (t) => {
  for (const name of ['start', 'join', 'status', 'invite', 'peers', 'revoke', 'train', 'demo']) {
    t.match(await command([name, '--help']), { code: 0, out: /Examples?:/, err: '' }, name)
  }
})
