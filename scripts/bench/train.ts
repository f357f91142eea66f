// Training speed: samples a second of each built-in model at batch 32 and one thread, in one worker and in two at once, and
// how much of the machine's speed at plain matrix products the CNN reaches. Usage: node scripts/bench/train.ts [seconds]
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { createBuilder } from '../../models/builder.ts'
import { TYPE } from '../../models/graph.ts'
import { splitWeights } from '../../models/index.ts'
import { encodeModel } from '../../models/serialize.ts'
import { type ZooName, zooModel } from '../../models/zoo/index.ts'
import type { Trainer } from '../../node/ports.ts'
import { createTrainer } from '../../node/train/trainer.ts'
import { manifestSchema } from '../../protocol/manifest.ts'
import { createPrng } from '../../protocol/prng.ts'

const SECONDS = Number(process.argv[2] ?? 3)
const SAMPLES = 10_000
const BATCH = 32
/** Multiplications and additions of mnist-cnn for one sample, forward and backward: the convolutions' and the layer's products. */
const CNN_FLOPS = 2 * (2 * 576 * 25 * 16 + 3 * 64 * 400 * 32 + 3 * 512 * 10)

async function trainerOf(name: ZooName): Promise<{ trainer: Trainer; params: Float32Array }> {
  const prng = createPrng('bench')
  const { graph, layout, params } = splitWeights(zooModel(name, 1))
  const data = {
    x: Uint8Array.from({ length: SAMPLES * 784 }, () => prng.int(256)),
    y: Int32Array.from({ length: SAMPLES }, () => prng.int(10)),
    samples: SAMPLES,
  }
  const trainer = await createTrainer({
    graph,
    layout,
    loss: { kind: 'cross-entropy' },
    optimizer: manifestSchema.shape.optimizer.parse({ kind: 'sgd', learningRate: 0.001, momentum: 0.9 }),
    work: { batchSize: BATCH },
    input: { dtype: 'uint8', shape: [1, 28, 28], scale: 1 / 255, offset: 0 },
    data: { train: data, validation: data },
    threads: 1,
  })
  return { trainer, params }
}

/** Samples a second over `seconds` of training, after a short run that warms up. */
async function speed({ trainer, params }: Awaited<ReturnType<typeof trainerOf>>, seconds: number): Promise<number> {
  const request = { params, optimizer: new Float32Array(0), steps: 10_000_000, seed: 1, stepsBefore: 0 }
  await trainer.train({ ...request, millis: 500 })
  const { samples, millis } = await trainer.train({ ...request, millis: seconds * 1000 })
  return (samples / millis) * 1000
}

/** Gigaflops of one large product of float32 matrices at one thread, the best of several. */
async function matrixSpeed(size = 768): Promise<number> {
  const b = createBuilder()
  b.add({ op: 'MatMul', name: '', inputs: ['a', 'b'], outputs: ['c'], attributes: {} })
  const value = (name: string) => ({ name, type: TYPE.float32, dims: [size, size] })
  const bytes = encodeModel({
    name: 'peak',
    inputs: [value('a'), value('b')],
    outputs: [value('c')],
    nodes: b.nodes,
    constants: b.constants,
  })
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const matrix = new Tensor('float32', new Float32Array(size * size).fill(0.5), [size, size])
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 20; i++) {
    const begin = performance.now()
    await session.run({ a: matrix, b: matrix })
    best = Math.min(best, performance.now() - begin)
  }
  return (2 * size ** 3) / best / 1e6
}

const count = (value: number): string => Math.round(value).toLocaleString('en')

for (const name of ['mnist-cnn', 'mnist-mlp', 'softmax'] as const) {
  const workers = await Promise.all([trainerOf(name), trainerOf(name)])
  const alone = await speed(workers[0], SECONDS)
  const both = await Promise.all(workers.map((worker) => speed(worker, SECONDS)))
  const together = both.reduce((sum, each) => sum + each, 0)
  const line = `one worker ${count(alone)} samples/s (${((BATCH / alone) * 1000).toFixed(3)} ms a step)`
  console.log(`${name}, batch ${BATCH}: ${line}, two at once ${count(together)} samples/s (${(together / alone).toFixed(2)} times one)`)
  if (name === 'mnist-cnn') {
    const peak = await matrixSpeed()
    const reached = (alone * CNN_FLOPS) / 1e9
    const share = ((100 * reached) / peak).toFixed(0)
    console.log(`  that is ${reached.toFixed(0)} of the ${peak.toFixed(0)} GFLOP/s of a plain matrix product on this machine, ${share} %`)
  }
  for (const { trainer, params } of workers) {
    if (trainer === workers[0].trainer) {
      const begin = performance.now()
      const { samples } = await trainer.evaluate({ params, split: 'validation' })
      console.log(`  evaluation ${count((samples / (performance.now() - begin)) * 1000)} samples/s`)
    }
    await trainer.stop()
  }
}
