// A network of real processes around a model and data that are not built in.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { loadModel, splitWeights } from '../../models/index.ts'
import { createPrng } from '../../protocol/prng.ts'
import { f4, i8, npzFile } from '../data/npy-file.ts'
import { murmur, temporaryFolder } from '../helpers/processes.ts'

t.setTimeout(180_000)

/** Exported by PyTorch for training: convolutions with BatchNorm, 8x8 images to 5 classes. */
const MODEL = fileURLToPath(new URL('../models/exports/cnn-batchnorm-17.onnx', import.meta.url))
const SAMPLES = 240
const CLASSES = 5
const COMMON = ['--listen', '/ip4/127.0.0.1/tcp/0', '--json', '--exit-when-finished']

/** Noise with a bright row that tells the class. */
function samples(seed: number): Uint8Array {
  const prng = createPrng(seed)
  const labels = Array.from({ length: SAMPLES }, () => prng.int(CLASSES))
  const images = labels.flatMap((label) => Array.from({ length: 64 }, (_, i) => prng.normal() + (Math.floor(i / 8) === label ? 3 : 0)))
  return npzFile({ x: f4([SAMPLES, 1, 8, 8], images), y: i8([SAMPLES], labels) })
}

t.test('a PyTorch export with running statistics and NumPy files train in a network, strangers try the model first', async (t) => {
  const dir = temporaryFolder(t)
  const data = async (i: number) => {
    const path = join(dir, `${i}.npz`)
    await writeFile(path, samples(i))
    return path
  }
  const task = [
    '--min-peers',
    '3',
    '--rounds',
    '4',
    '--steps',
    '15',
    '--byzantine-share',
    '0',
    '--lr',
    '0.02',
    '--optimizer',
    'adam',
    '--seed',
    '1',
  ]
  const founder = murmur(t, ['start', join(dir, 'a'), '--model', MODEL, '--data', await data(1), ...task, ...COMMON])
  const { joinLine } = await founder.event('ready')
  const joiners = await Promise.all(
    [2, 3].map(async (i) => murmur(t, ['join', joinLine, '--dir', join(dir, String(i)), '--data', await data(i), ...COMMON])),
  )
  for (const peer of [founder, ...joiners]) {
    const { accuracy, model = '' } = await peer.event('finished')
    t.ok((accuracy ?? 0) > 0.8, `accuracy ${accuracy}`)
    // What is written can be trained on: the running statistics are still known as such.
    const { graph, params } = splitWeights(await readFile(model))
    const statistics = loadModel(graph).layout.filter(({ segment }) => segment === 'stats')
    t.ok(statistics.length > 0)
    t.ok(statistics.some(({ name, offset }) => name.includes('running_mean') && params[offset] !== 0))
  }
  for (const peer of [founder, joiners[0]!]) t.match(peer.text(), /Trying the model in a process of its own/)
})

t.test('data that does not fit what the network agreed on is refused in one sentence', async (t) => {
  const dir = temporaryFolder(t)
  const row = (i: number) => `${['red', 'green', 'blue'][i % 3]},${i % 7},${i % 2 === 0 ? 'yes' : 'no'}`
  const csv = (rows: string[]) => `colour,size,label\n${rows.join('\n')}\n`
  const whole = join(dir, 'whole.csv')
  await writeFile(whole, csv(Array.from({ length: 60 }, (_, i) => row(i))))
  const model = join(dir, 'table.onnx')
  const { buildModel } = await import('../models/helpers.ts')
  await writeFile(
    model,
    buildModel([4], ({ b, weight }, x) => b.op('Gemm', [x, weight('w', [4, 2]), weight('c', [2])])),
  )
  const founder = murmur(t, ['start', join(dir, 'a'), '--model', model, '--data', whole, '--min-peers', '4', '--rounds', '2', ...COMMON])
  const { joinLine } = await founder.event('ready')
  const refused = async (name: string, text: string, sentence: RegExp) => {
    const path = join(dir, `${name}.csv`)
    await writeFile(path, text)
    const peer = murmur(t, ['join', joinLine, '--dir', join(dir, name), '--data', path, ...COMMON])
    t.equal(await peer.exit(), 1)
    t.match(peer.text(), sentence)
  }
  await refused('category', csv([row(0), row(1), 'violet,3,yes']), /violet/)
  await refused('column', 'colour,label\nred,yes\ngreen,no\n', /size/)
  await refused('label', csv([row(0), row(1), 'red,3,perhaps']), /perhaps/)
})
