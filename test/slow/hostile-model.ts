// A stranger's model that goes wrong is refused by who joins, each time it is tried, and nothing of it is kept.
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { murmur, temporaryFolder } from '../helpers/processes.ts'
import { batchDependentModel } from '../models/batch-dependent.ts'

t.setTimeout(120_000)

const COMMON = ['--listen', '/ip4/127.0.0.1/tcp/0', '--json', '--exit-when-finished', '--validation', '0.5']

/** Four numbers and a class of three. */
const table = (rows: number): string =>
  `a,b,c,d,label\n${Array.from({ length: rows }, (_, i) => [i % 7, i % 5, i % 4, i % 2, i % 3].join()).join('\n')}\n`

t.test('a model that is another one when it is evaluated is refused before it runs in the peer, also the second time', async (t) => {
  const dir = temporaryFolder(t, { 'few.csv': table(30), 'many.csv': table(300) })
  const path = (name: string) => join(dir, name)
  await writeFile(path('model.onnx'), batchDependentModel())
  const task = ['--model', path('model.onnx'), '--min-peers', '2', '--rounds', '2', '--steps', '2']
  const founder = murmur(t, ['start', path('founder'), '--data', path('few.csv'), ...task, ...COMMON])
  const { joinLine } = await founder.event('ready')
  for (let attempt = 1; attempt <= 2; attempt++) {
    const peer = murmur(t, ['join', joinLine, '--dir', path('joiner'), '--data', path('many.csv'), ...COMMON])
    t.equal(await peer.exit(), 1)
    t.match(peer.text(), /Trying the model in a process of its own/, `attempt ${attempt}`)
    t.match(peer.text(), /Reshape makes \[100\] of shape \[100, 4\]/)
    t.notOk((await readdir(path('joiner'))).includes('task'), 'the directory has no task')
  }
})
