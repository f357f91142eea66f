// Which codec a network gets whose founder names none, and that what is named is kept or refused.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parseOptions, taskOptions } from '../../node/options.ts'
import { foundTask, optionsOf } from '../../node/peer/found.ts'
import { openTask } from '../../protocol/task.ts'
import { f4, i8, npzFile } from '../data/npy-file.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'

const BATCHNORM = fileURLToPath(new URL('../models/exports/cnn-batchnorm-17.onnx', import.meta.url))
const SAMPLES = 20

const dir = t.testdir({})
const images = join(dir, 'images.npz')
await writeFile(
  images,
  npzFile({ x: f4([SAMPLES, 1, 8, 8], new Array(SAMPLES * 64).fill(0.5)), y: i8([SAMPLES], new Array(SAMPLES).fill(4)) }),
)

async function found(options: Record<string, unknown>, data: string) {
  const parts = { signer: signerOf('founder'), random: { bytes: (count: number) => new Uint8Array(count) }, hash: sha256 }
  const { envelope } = await foundTask(
    parseOptions(taskOptions, options),
    { data, input: undefined, label: undefined, vocabulary: undefined },
    parts,
  )
  const task = openTask(envelope, { verify: verifier, hash: sha256 })
  const { codec, limits, weights } = task.manifest
  t.equal(weights.codec, 'float32', 'initial weights are exact')
  t.equal(optionsOf(task).codec, codec, 'and the task shows it')
  return { codec, maxAbs: limits.maxAbs }
}

t.test('int8, and float16 for a model with running statistics, each with values that it can carry', async (t) => {
  t.same(await found({ model: 'softmax' }, 'mnist'), { codec: 'int8', maxAbs: 1e6 })
  t.same(await found({ model: BATCHNORM }, images), { codec: 'float16', maxAbs: 65_504 })
})

t.test('the codec that is named, unless it ruins running statistics', async (t) => {
  t.same(await found({ model: 'softmax', codec: 'float16' }, 'mnist'), { codec: 'float16', maxAbs: 65_504 })
  t.same(await found({ model: BATCHNORM, codec: 'float32' }, images), { codec: 'float32', maxAbs: 1e6 })
  await t.rejects(found({ model: BATCHNORM, codec: 'int8' }, images), { code: 'task-invalid', message: /BatchNormalization; use float16/ })
  t.throws(() => parseOptions(taskOptions, { codec: 'zip' }), { code: 'bad-argument', message: /--codec .*float32, float16, int8/ })
})
