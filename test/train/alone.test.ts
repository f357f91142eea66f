// Training alone with a real trainer: what it tells, keeps and ends with.
import t, { type Test } from 'tap'
import { splitWeights } from '../../models/index.ts'
import { zooModel } from '../../models/zoo/index.ts'
import { type AloneOptions, trainAlone } from '../../node/train/alone.ts'
import { createTrainer, type TrainerOptions } from '../../node/train/trainer.ts'
import { LOSS, sameBits, sgd } from '../models/helpers.ts'
import { mnist } from './mnist.ts'

const TRAIN = mnist('train', 200)
const EMPTY = { x: new Uint8Array(0), y: new Int32Array(0), samples: 0 }
const BATCH = 32
const STEPS_PER_EPOCH = 7

async function start(t: Test, changes: Partial<TrainerOptions> = {}) {
  const { graph, params } = splitWeights(zooModel('softmax', 1))
  const trainer = await createTrainer({
    ...{ graph, batchSize: BATCH, loss: LOSS, optimizer: sgd({ learningRate: 0.05 }) },
    input: { dtype: 'uint8', shape: [1, 28, 28], scale: 1 / 255, offset: 0 },
    target: { kind: 'class', size: 10, shape: [] },
    data: { train: TRAIN, validation: mnist('train', 100, 200) },
    ...changes,
  })
  t.teardown(() => trainer.stop())
  const controller = new AbortController()
  const saved: Float32Array[] = []
  const losses: number[] = []
  const epochs: Parameters<NonNullable<AloneOptions['onEpoch']>>[0][] = []
  const options: AloneOptions = {
    ...{ epochs: 3, stepsPerEpoch: STEPS_PER_EPOCH, seed: 1, shuffle: true, everyEpoch: true, signal: controller.signal },
    onSteps({ first, losses: some }) {
      t.equal(first, losses.length)
      losses.push(...some)
    },
    onEpoch: (done) => void epochs.push(done),
    save: async (now) => void saved.push(now.slice()),
  }
  return { trainer, params, options, controller, saved, losses, epochs }
}

t.test('every step and epoch is told of once, and the newest parameters are kept after each epoch', async (t) => {
  const { trainer, params, options, saved, losses, epochs } = await start(t)
  const result = await trainAlone(trainer, params, options)
  t.match(result, { ending: 'finished', steps: 21, samples: 600, saved: true, evaluation: { split: 'validation', samples: 100 } })
  t.equal(losses.length, 21)
  t.same(
    epochs.map(({ epoch }) => epoch),
    [1, 2, 3],
  )
  const last = losses.slice(-STEPS_PER_EPOCH)
  t.ok(Math.abs(epochs[2]!.loss - last.reduce((sum, loss) => sum + loss, 0) / STEPS_PER_EPOCH) < 1e-9)
  t.equal(result.loss, epochs[2]!.loss)
  t.ok(epochs.every(({ evaluation }) => evaluation !== undefined))
  t.equal(saved.length, 3)
  t.ok(sameBits(saved[2]!, result.params))
})

t.test('it is the same training however it is told of, and its seed is what it depends on', async (t) => {
  const { trainer, params, options } = await start(t)
  const run = (changes: Partial<AloneOptions>) => trainAlone(trainer, params, { ...options, onSteps() {}, ...changes })
  const [a, b] = [await run({}), await run({ everyEpoch: false })]
  t.ok(sameBits(a.params, b.params))
  t.notOk(sameBits(a.params, (await run({ seed: 2 })).params))
  t.notOk(sameBits(a.params, (await run({ shuffle: false })).params))
  // One call for all the steps.
  const order = { shuffle: true, epochs: true, first: 0 }
  const whole = await trainer.train({ params, optimizer: new Float32Array(0), steps: 21, seed: 1, stepsBefore: 0, order })
  t.ok(sameBits(a.params, whole.params))
})

t.test('a stop half way keeps what was learned until then', async (t) => {
  const { trainer, params, options, controller, saved, losses } = await start(t)
  const onSteps: AloneOptions['onSteps'] = (done) => {
    options.onSteps!(done)
    if (losses.length >= 2) controller.abort()
  }
  const result = await trainAlone(trainer, params, { ...options, epochs: 1_000_000, onSteps })
  t.match(result, { ending: 'stopped', steps: losses.length, evaluation: undefined, saved: true })
  t.ok(sameBits(saved.at(-1)!, result.params))
})

t.test('a stop before the first step keeps nothing', async (t) => {
  const { trainer, params, options, controller, saved } = await start(t)
  controller.abort()
  t.match(await trainAlone(trainer, params, options), { ending: 'stopped', steps: 0, saved: false })
  t.same(saved, [])
})

t.test('a stop during the last evaluation loses only that', async (t) => {
  const { trainer, params, options, controller, saved } = await start(t)
  const result = await trainAlone(trainer, params, { ...options, epochs: 1, onEvaluate: () => controller.abort() })
  t.match(result, { ending: 'stopped', steps: STEPS_PER_EPOCH, evaluation: undefined, saved: true })
  t.equal(saved.length, 1)
})

t.test('without validation data the training data are evaluated on', async (t) => {
  const { trainer, params, options } = await start(t, { data: { train: TRAIN, validation: EMPTY } })
  t.match((await trainAlone(trainer, params, options)).evaluation, { split: 'train', samples: 200 })
})

t.test('training that diverges ends with parameters that are of use', async (t) => {
  for (const learningRate of [30, 1000]) {
    const { trainer, params, options, saved } = await start(t, { optimizer: sgd({ learningRate, weightDecay: 1 }) })
    const result = await trainAlone(trainer, params, { ...options, epochs: 100 })
    t.equal(result.ending, 'diverged')
    t.match(result.diverged, /^Training diverged at step \d+: .* is not a finite number; lower the learning rate or check the data\.$/)
    t.ok(result.params.every(Number.isFinite))
    t.ok(Number.isFinite(result.evaluation!.loss), `loss ${result.evaluation!.loss} at the rate ${learningRate}`)
    t.ok(sameBits(saved.at(-1)!, result.params))
    await trainer.stop()
  }
})
