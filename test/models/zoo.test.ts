// Every model that comes with Murmuration: what it takes and gives, and that it trains as the same model does in PyTorch.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import t from 'tap'
import { compileTraining, exportModel, loadModel, modelSignature, splitWeights } from '../../models/index.ts'
import { gpt, gru, resnet, tabular, ZOO, ZOO_TASKS, type ZooName, zooModel } from '../../models/zoo/index.ts'
import { layoutSize, sizeOf } from '../../protocol/layout.ts'
import { createPrng } from '../../protocol/prng.ts'
import { sameBits } from './helpers.ts'
import { torchForward } from './torch/forward.ts'
import { SAMPLES, SEED, STEPS, type TorchTask, torchIndex, torchSamples, torchTask } from './torch/tasks.ts'

type Reference = TorchTask & { output: number[]; losses: number[] }
const REFERENCES: Record<ZooName, Reference> = JSON.parse(await readFile(new URL('torch/losses.json', import.meta.url), 'utf8')).models
const NAMES = Object.keys(ZOO) as ZooName[]
/** Of the largest output, between float32 and PyTorch's float64; about 1e-6 is usual. */
const FORWARD_TOLERANCE = 1e-5
/** Relative, over 20 steps, between float32 and PyTorch's float64; 3e-6 is the most that was seen. */
const LOSS_TOLERANCE = 2e-5

async function trainAsTorch(name: ZooName): Promise<Float32Array> {
  const task = torchTask(name)
  const { input, target } = ZOO_TASKS[name]
  const { graph, params } = splitWeights(zooModel(name, SEED))
  const { bytes, optimizerSize } = compileTraining(loadModel(graph), { ...task, input: { ...input, scale: 1, offset: 0 }, target })
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const { x, y } = torchSamples(name)
  const samples = (values: Float32Array | Int32Array, shape: readonly number[]) =>
    values instanceof Int32Array ? new Tensor('int32', values, [SAMPLES, ...shape]) : new Tensor('float32', values, [SAMPLES, ...shape])
  const { losses } = await session.run({
    params: new Tensor('float32', params, [params.length]),
    optimizer: new Tensor('float32', new Float32Array(optimizerSize), [optimizerSize]),
    x: samples(x, input.shape),
    y: samples(y, target.shape),
    index: new Tensor('int32', Int32Array.from(torchIndex(task).flat()), [STEPS, task.batchSize]),
    lr: new Tensor('float32', new Float32Array(STEPS).fill(task.optimizer.learningRate), [STEPS]),
    halt: new Tensor('float32', new Float32Array(1), []),
  })
  return losses!.data as Float32Array
}

for (const name of NAMES) {
  t.test(`${name}: its outputs are those of the same model in PyTorch`, async (t) => {
    const { target } = ZOO_TASKS[name]
    const { batchSize } = torchTask(name)
    const output = await torchForward(name)
    const sample = target.kind === 'number' ? target.size : sizeOf(target.shape) * target.size
    t.equal(output.length, batchSize * sample)
    const scale = output.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
    const worst = Math.max(...REFERENCES[name].output.map((value, i) => Math.abs(value - output[i]!))) / scale
    t.ok(worst < FORWARD_TOLERANCE, `differs by ${worst.toExponential(1)}`)
  })

  t.test(`${name}: twenty losses are those of PyTorch`, async (t) => {
    const { losses: expected, output: _, ...settings } = REFERENCES[name]
    t.match(settings, torchTask(name), 'the numbers are of these settings; else run scripts/torch/references.ts')
    const losses = await trainAsTorch(name)
    t.equal(losses.length, STEPS)
    const worst = Math.max(...expected.map((loss, step) => Math.abs(losses[step]! - loss) / loss))
    t.ok(worst < LOSS_TOLERANCE, `differ by ${worst.toExponential(1)}`)
  })

  t.test(`${name}: its weights are taken out and put back, and its description counts them`, async (t) => {
    const model = zooModel(name, 3)
    const { graph, layout, params } = splitWeights(model)
    t.equal(layoutSize(layout), params.length)
    t.match(ZOO[name], `${params.length.toLocaleString('en')} parameters`)
    t.ok(sameBits(exportModel(graph, layout, params), model))
    const { input, target } = ZOO_TASKS[name]
    const { perPosition, ...signature } = modelSignature(graph)
    t.strictSame(signature, { input: input.dtype, inputShape: input.shape })
    t.equal(perPosition, target.shape.length > 0)
  })

  t.test(`${name}: one seed is always the same bytes, and another seed other ones`, async (t) => {
    t.ok(sameBits(zooModel(name, 7), zooModel(name, 7)))
    t.notOk(sameBits(zooModel(name, 7), zooModel(name, 8)))
  })
}

t.test('initial weights that tasks and results depend on never change', async (t) => {
  const hash = (name: ZooName) => createHash('sha256').update(zooModel(name, 1)).digest('hex').slice(0, 16)
  t.strictSame(
    ['mnist-cnn', 'mnist-mlp', 'softmax'].map((name) => hash(name as ZooName)),
    ['36eed84474e1f016', '41c96fd0ba280ff8', '9219fcd30a48d13c'],
  )
})

t.test('other sizes of the models are models too', async (t) => {
  const prng = createPrng(1)
  const sizes = (model: Uint8Array) => splitWeights(model).params.length
  const widths = { vocabulary: 30, context: 16, layers: 3, heads: 2, width: 24 }
  const block = 12 * 24 ** 2 + 13 * 24
  t.equal(sizes(gpt(prng, widths)), (2 * 30 + 16) * 24 + 3 * block + 2 * 24)
  t.equal(sizes(gru(prng, { vocabulary: 30, context: 8, embedding: 12, hidden: 20 })), 30 * 12 + 60 * (12 + 20 + 2) + 21 * 30)
  t.equal(sizes(tabular(prng, { categories: [3], numbers: 4, classes: 5, hidden: [6] })), 3 * 2 + 7 * 6 + 7 * 5)
  t.ok(sizes(resnet(prng, { blocks: 3 })) > 3 * sizes(resnet(prng)))
})
