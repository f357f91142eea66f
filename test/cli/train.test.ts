// `murmur train` as people use it: real command lines, real files, PyTorch's numbers; processes of their own where those are ended.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { f4, i8, npzFile } from '../data/npy-file.ts'
import { command, mistakes } from '../helpers/commands.ts'
import { exportFile, exportFixture, exportNpz } from '../helpers/export-data.ts'
import { murmur, temporaryFolder } from '../helpers/processes.ts'

const TOLERANCE = 1e-4

interface Step {
  step: number
  epoch: number
  loss: number
}

interface Last {
  ending: string
  steps: number
  evaluation: { split: string; samples: number; loss: number; accuracy?: number } | null
  out: string | null
}

const run = (args: string[]) => command(['train', ...args])

/** With --json: every line of stdout is an object, all but the last of them a step. */
async function trained(t: Test, args: string[], code = 0): Promise<{ steps: Step[]; last: Last; err: string }> {
  const ended = await run([...args, '--json'])
  t.equal(ended.code, code, ended.err.slice(-500))
  const lines = ended.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  return { steps: lines.slice(0, -1), last: lines.at(-1), err: ended.err }
}

/** A folder with files; one's path by its name. */
function folder(t: Test, files: Record<string, Uint8Array | string>): (name: string) => string {
  const dir = temporaryFolder(t, Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes)])))
  return (name) => join(dir, name)
}

function sameLosses(t: Test, name: string, steps: Step[], expected: readonly number[]): void {
  const worst = Math.max(...expected.map((loss, i) => Math.abs(steps[i]!.loss - loss) / Math.abs(loss)))
  t.ok(worst < TOLERANCE, `${name}: deviation from PyTorch ${worst.toExponential(1)}`)
}

const exact = ['--no-shuffle', '--validation', '0']

t.test("models that PyTorch exported have PyTorch's losses step for step", async (t) => {
  const names = ['mlp-log-softmax', 'experts', 'autoencoder', 'gpt', 'cnn-batchnorm']
  const path = folder(t, Object.fromEntries(names.map((name) => [`${name}.npz`, exportNpz(exportFixture(name))])))
  for (const name of names) {
    const { loss, optimizer, batch, losses, opsets } = exportFixture(name)
    const stepsPerEpoch = 32 / batch
    const epochs = Math.ceil(losses.length / stepsPerEpoch)
    const { steps, last } = await trained(t, [
      exportFile(`${name}-${opsets.at(-1)}.onnx`),
      ...['--data', path(`${name}.npz`), '--batch-size', `${batch}`, '--epochs', `${epochs}`, ...exact],
      ...['--loss', loss.kind, '--optimizer', optimizer.kind, '--lr', `${optimizer.learningRate}`],
      ...(loss.huberDelta === undefined ? [] : ['--huber-delta', `${loss.huberDelta}`]),
      ...(optimizer.momentum === undefined ? [] : ['--momentum', `${optimizer.momentum}`]),
      ...(optimizer.weightDecay === undefined ? [] : ['--weight-decay', `${optimizer.weightDecay}`]),
      ...(optimizer.nesterov ? ['--nesterov'] : []),
    ])
    sameLosses(t, name, steps, losses)
    t.same(
      steps.map(({ step, epoch }) => [step, epoch]),
      Array.from({ length: epochs * stepsPerEpoch }, (_, i) => [i + 1, Math.floor(i / stepsPerEpoch) + 1]),
    )
    t.match(last, { ending: 'finished', steps: epochs * stepsPerEpoch, evaluation: { split: 'train', samples: 32 }, out: null })
  }
})

// 32 samples in batches of 12: two, and one of 8. PyTorch 1.13 over three epochs, in float64.
const UNEVEN: [name: string, flags: string, losses: number[]][] = [
  [
    'mlp-softmax',
    '--optimizer adamw --lr 0.005',
    [1.4367608, 1.335683, 1.5621848, 1.3818424, 1.2921306, 1.4940338, 1.3400126, 1.2561023, 1.4262633],
  ],
  [
    'mlp-log-softmax',
    '--lr 0.02 --momentum 0.8 --nesterov --weight-decay 0.02',
    [1.4632987, 1.2560474, 1.4799849, 1.4193071, 1.212735, 1.4044656, 1.3608196, 1.1602563, 1.3142638],
  ],
  [
    'mlp-squeezed',
    '--loss mse --optimizer adam --lr 0.005 --weight-decay 0.05',
    [1.0686555, 1.2410419, 1.767083, 0.94144121, 1.1085542, 1.6280737, 0.84616771, 0.99786556, 1.4933938],
  ],
]

t.test("a smaller last batch, several epochs and an optimizer's defaults are PyTorch's, whatever the arrays are called", async (t) => {
  const files = UNEVEN.map(([name]) => [`${name}.npz`, exportNpz(exportFixture(name), ['features', 'answers'])] as const)
  const path = folder(t, Object.fromEntries(files))
  for (const [name, flags, losses] of UNEVEN) {
    const data = ['--data', path(`${name}.npz`), '--input', 'features', '--label', 'answers', '--batch-size', '12', '--epochs', '3']
    const { steps } = await trained(t, [exportFile(`${name}-13.onnx`), ...data, ...exact, ...flags.split(' ')])
    t.equal(steps.length, losses.length)
    sameLosses(t, name, steps, losses)
  }
})

t.test('a table is trained on, and told of in the metrics that fit it', async (t) => {
  const header = ['kind', 'place', 'size', ...Array.from({ length: 10 }, (_, i) => `n${i}`), 'answer']
  const rows = Array.from({ length: 90 }, (_, i) => {
    const numbers = Array.from({ length: 10 }, (_, column) => (i * (column + 3)) % 11)
    return [`k${i % 3}`, `p${i % 4}`, `s${i % 2}`, ...numbers, numbers[0]! > 5 ? 'yes' : 'no']
  })
  const path = folder(t, { 'table.csv': [header, ...rows].map((row) => row.join()).join('\n') })
  const args = ['--label', 'answer', '--epochs', '30', '--optimizer', 'adam', '--lr', '0.01', '--validation', '0.2']
  const { code, out, err } = await run(['tabular', '--data', path('table.csv'), ...args])
  t.equal(code, 0, err)
  t.match(out, /72 samples to train on, 18 to validate with/)
  t.match(out, /Epoch 30 of 30: training loss [\d.]+; validation: loss [\d.]+, accuracy [\d.]+ %, AUC [\d.]+/)
})

t.test('what is written goes on where it ended, and a larger batch than there are samples is one of all', async (t) => {
  const path = folder(t, {
    'softmax.npz': npzFile({
      x: f4(
        [20, 1, 28, 28],
        Array.from({ length: 20 * 784 }, (_, i) => (i % 13) / 13),
      ),
      y: i8(
        [20],
        Array.from({ length: 20 }, (_, i) => i % 10),
      ),
    }),
  })
  const args = ['--data', path('softmax.npz'), ...exact, '--batch-size', '500']
  const whole = await trained(t, ['softmax', ...args, '--epochs', '4'])
  const half = await trained(t, ['softmax', ...args, '--epochs', '2', '--out', path('half.onnx')])
  t.equal(half.last.out, path('half.onnx'))
  const rest = await trained(t, [path('half.onnx'), ...args, '--epochs', '2'])
  t.same(
    [...half.steps, ...rest.steps].map(({ loss }) => loss),
    whole.steps.map(({ loss }) => loss),
  )
  const spoken = await run(['softmax', ...args, '--out', path('out.onnx')])
  t.equal(spoken.code, 0)
  t.match(spoken.out, /Training: cross-entropy, sgd at 0.05, 1 x 1 steps of 20 samples\./)
  t.match(spoken.out, /On the 20 training samples: loss .*, accuracy .* %\./)
  t.ok(spoken.out.includes(`The trained model is in ${path('out.onnx')}.`))
})

t.test('Ctrl-C ends training soon, keeps what was learned and says so', async (t) => {
  const path = folder(t, {})
  const started = murmur(t, ['train', 'softmax', '--data', 'mnist', '--epochs', '100000', '--out', path('kept.onnx')])
  await waitFor(started, /Epoch 1 of/)
  started.child.kill('SIGINT')
  t.equal(await started.exit(), 130)
  t.match(started.text(), /Stopped after [\d,]+ steps in /)
  t.match(started.text(), `What was learned until then is in ${path('kept.onnx')}.`)
  t.ok(existsSync(path('kept.onnx')))
})

t.test('killed half way, --out holds the last whole epoch', async (t) => {
  const path = folder(t, {})
  const started = murmur(t, ['train', 'softmax', '--data', 'mnist', '--epochs', '100000', '--out', path('kept.onnx')])
  await waitFor(started, /Epoch 2 of/)
  started.child.kill('SIGKILL')
  t.equal(await started.exit(), 'SIGKILL')
  const again = await trained(t, [path('kept.onnx'), '--data', 'mnist', '--batch-size', '4000'])
  t.ok(again.last.evaluation!.accuracy! > 0.85, `accuracy ${again.last.evaluation!.accuracy}`)
})

t.test('a reader that goes away ends it without a word of complaint', async (t) => {
  const started = murmur(t, ['train', 'softmax', '--data', 'mnist', '--epochs', '100000', '--json'])
  await waitFor(started, /"step":1,/)
  started.child.stdout!.destroy()
  t.equal(await started.exit(), 130)
  t.notMatch(started.text(), /EPIPE|\n\s+at /)
})

t.test('training that diverges says at which step, and --out holds what was good', async (t) => {
  const path = folder(t, {})
  const args = ['mnist-mlp', '--data', 'mnist', '--lr', '30', '--weight-decay', '1', '--out', path('good.onnx')]
  const { last, err, steps } = await trained(t, args, 1)
  const step = Number(/Training diverged at step (\d+): the loss .* is not a finite number; lower the learning rate/.exec(err)?.[1])
  t.equal(steps.length, step - 1)
  t.match(last, { ending: 'diverged', steps: step - 1, out: path('good.onnx') })
  t.ok(Number.isFinite(last.evaluation!.loss))
  t.match(err, `${path('good.onnx')} holds what was good before it.`)
})

t.test('mistakes are one sentence each, said before any training', async (t) => {
  const image = (samples: number) => f4([samples, 1, 28, 28], new Array<number>(samples * 784).fill(0.5))
  const path = folder(t, {
    'good.npz': npzFile({ x: image(6), y: i8([6], [0, 1, 2, 3, 4, 5]) }),
    'label.npz': npzFile({ x: image(3), y: i8([3], [0, 1, 12]) }),
    'short.npz': npzFile({ x: image(3), y: i8([2], [0, 1]) }),
    'shape.npz': npzFile({ x: f4([2, 3], [1, 2, 3, 4, 5, 6]), y: i8([2], [0, 1]) }),
    'fractions.npz': npzFile({ x: image(2), y: f4([2], [0.5, 1.5]) }),
    'text.onnx': 'this is no model',
  })
  const good = ['--data', path('good.npz')]
  const lines: [args: string[], sentence: RegExp][] = [
    [['softmax'], /No data is named: add --data/],
    [['softmax', '--data', path('nowhere.npz')], /nowhere\.npz/],
    [['softmax', ...good, '--input', 'pixels'], /no array "pixels" but x, y; .*--input/],
    [['softmax', '--data', path('label.npz')], /13 classes.*10/],
    [['softmax', '--data', path('short.npz')], /holds 3 samples.* 2 labels/],
    [['softmax', '--data', path('shape.npz')], /samples of 3, but the model takes 1x28x28/],
    [['softmax', '--data', path('fractions.npz')], /0\.5 in sample 0/],
    [['softmax', ...good, '--loss', 'mse'], /output has the shape \[2, 10\]/],
    [['softmax', ...good, '--provider', 'abacus'], /execution provider "abacus"/],
    [['softmax', ...good, '--out', path('no/where.onnx')], /where\.onnx cannot be written \(ENOENT\)/],
    [['softmax', ...good, '--out', path('.')], /is a folder; name a file in it/],
    [['softmax', ...good, '--lr', 'fast'], /--lr cannot be "fast": give a number \(learning rate/],
    [['softmax', ...good, '--validation', '1'], /--validation cannot be "1": give less than 1/],
    [['softmax', ...good, '--loss', 'hinge'], /--loss cannot be "hinge": give one of cross-entropy, bce, mse, l1, huber/],
    [[path('text.onnx'), ...good], /not an ONNX file/],
    [[path('missing.onnx'), ...good], /missing\.onnx cannot be read: ENOENT/],
    [['lenet6', ...good], /"lenet6" is neither .* lenet5/],
  ]
  await mistakes(
    t,
    lines.map(([args, sentence]) => [['train', ...args], sentence]),
  )
})

/** Resolves once what was said matches. */
function waitFor({ child, text }: ReturnType<typeof murmur>, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (pattern.test(text())) resolve()
    }
    child.stdout!.on('data', look)
    child.once('close', () => reject(new Error(`ended before ${pattern}: ${text()}`)))
  })
}
