// Training on data larger than memory, by `murmur train` and by a peer of a network.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { TrainRequest } from '../../node/ports.ts'
import { busNetwork, towards } from '../helpers/bus-peers.ts'
import { command } from '../helpers/commands.ts'
import { murmur, temporaryFolder } from '../helpers/processes.ts'
import { mnist } from '../train/mnist.ts'
import { npyFile } from './npy-file.ts'

/** 1.2 MB, for `--memory 1`; no whole number of batches. */
const SAMPLES = 1500 - 7

async function images(t: Test): Promise<string> {
  const dir = temporaryFolder(t)
  const { x, y } = mnist('train', SAMPLES)
  await writeFile(join(dir, 'x.npy'), npyFile('|u1', [SAMPLES, 28, 28], x))
  await writeFile(join(dir, 'y.npy'), npyFile('<i4', [SAMPLES], y))
  return dir
}

t.test('murmur train gives the same losses, step for step, from windows as from all the data, and learns from shuffled ones', async (t) => {
  const dir = await images(t)
  const train = async (...more: string[]) => {
    const { code, out, err } = await command(['train', 'mnist-mlp', '--data', dir, '--json', '--lr', '0.1', ...more])
    t.equal(code, 0, err)
    return out.trimEnd().split('\n')
  }
  const plain = ['--no-shuffle', '--validation', '0', '--epochs', '2']
  const steps = (lines: string[]) => lines.slice(0, -1)
  const whole = await train(...plain)
  t.equal(steps(whole).length, 2 * Math.ceil(SAMPLES / 32))
  t.strictSame(steps(await train(...plain, '--memory', '1')), steps(whole))
  const shuffled = await train('--memory', '1', '--epochs', '3')
  const last = JSON.parse(shuffled.at(-1)!)
  t.ok(last.evaluation.accuracy > 0.6, `accuracy ${last.evaluation.accuracy}`)
  t.equal(last.evaluation.split, 'validation')
  t.equal(last.steps, 3 * Math.ceil((SAMPLES - last.evaluation.samples) / 32))
})

t.test('a peer of a network trains each round on a window of its data', async (t) => {
  const dir = await images(t)
  const peer = (rounds: string) => [
    ...['start', join(dir, 'peer'), '--model', 'mnist-mlp', '--data', dir, '--memory', '1', '--steps', '10', '--batch-size', '16'],
    ...['--rounds', rounds, '--rule', 'mean', '--byzantine-share', '0', '--min-peers', '1', '--seed', '1'],
    ...['--gather-min-seconds', '0.1', '--gather-max-seconds', '0.5', '--listen', '/ip4/127.0.0.1/tcp/0', '--json', '--exit-when-finished'],
  ]
  const process = murmur(t, peer('3'))
  await process.event('finished')
  t.equal(await process.exit(), 0)
  t.match(process.text(), /read in parts of 160/)
  const trained = process.events.filter((event) => event.type === 'trained')
  t.strictSame(
    trained.map(({ samples }) => samples),
    new Array(3).fill(160),
  )
})

t.test('a round asks for its own window and trains on as many samples as that has', async (t) => {
  const { add } = busNetwork({
    pace: { minPeers: 1, staleness: 2, gatherMinSeconds: 0.01, gatherMaxSeconds: 0.1, absentAfterSeconds: 60 },
    byzantineShare: 0,
    rule: 'mean',
    stop: { rounds: 3 },
  })
  const asked: number[] = []
  const orders: TrainRequest['order'][] = []
  const trainer = towards(1, 4)
  const peer = await add('a', {
    loadData: async (round) => 10 * asked.push(round),
    trainer: {
      ...trainer,
      train(request) {
        orders.push(request.order)
        return trainer.train(request)
      },
    },
  })
  t.teardown(() => peer.stop())
  await peer.event('finished')
  t.strictSame(asked, [1, 2, 3])
  t.strictSame(orders, [{ samples: 10 }, { samples: 20 }, { samples: 30 }])
})
