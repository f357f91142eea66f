// A process that attacks with what it trains on; the other attacks of processes are in test/lab/process-attacks.test.ts.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { npyFile } from '../data/npy-file.ts'
import { murmur, temporaryFolder } from '../helpers/processes.ts'
import { mnist } from '../train/mnist.ts'

t.test('a process that flips its labels learns the wrong ones, in a test task alone', async (t) => {
  const dir = temporaryFolder(t)
  const { x, y } = mnist('train', 600)
  await Promise.all([
    writeFile(join(dir, 'x.npy'), npyFile('|u1', [600, 28, 28], x)),
    writeFile(join(dir, 'y.npy'), npyFile('<i4', [600], y)),
  ])
  const peer = (name: string, ...more: string[]) =>
    murmur(t, [
      ...['start', join(dir, name), '--model', 'softmax', '--data', dir, '--steps', '100', '--rounds', '1', '--rule', 'mean'],
      ...['--byzantine-share', '0', '--min-peers', '1', '--gather-min-seconds', '0.1', '--gather-max-seconds', '0.5'],
      ...['--listen', '/ip4/127.0.0.1/tcp/0', '--json', '--exit-when-finished', '--misbehave', 'label-flip', ...more],
    ])
  const [flipped, refused] = [peer('a', '--test-task'), peer('b')]
  const { accuracy } = await flipped.event('finished')
  t.ok(accuracy !== undefined && accuracy < 0.1, `accuracy on right labels: ${accuracy}`)
  t.match(flipped.text(), /changed for the attack label-flip/)
  t.equal(await refused.exit(), 1)
  t.match(refused.text(), /only in a network founded with --test-task/)
  t.notOk(refused.events.some(({ type }) => type === 'trained'))
})
