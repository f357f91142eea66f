// `murmur train`: trains a model on data, alone and without a network.
import { access, constants } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { createLogUpdate } from 'log-update'
import { exportModel, trainingNotes } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { layoutSize } from '../../protocol/layout.ts'
import { loadData } from '../data/load.ts'
import { agree, lossOf, optimizerOf, readModelFile } from '../learning.ts'
import { dataOf, parseOptions, type TrainOptions, trainOptions } from '../options.ts'
import { writeDurable } from '../store/files.ts'
import { type AloneResult, trainAlone } from '../train/alone.ts'
import { createTrainer } from '../train/trainer.ts'
import { metrics, seconds } from './format.ts'
import { interruptible } from './interruptible.ts'

/** Plain output says something at least this often. */
const SILENCE_MILLIS = 4000
const INTERRUPTED = 130
const FAILED = 1

export async function trainCommand(model: string, { json = false, ...given }: Record<string, unknown> & { json?: boolean }): Promise<void> {
  const options = parseOptions(trainOptions, given)
  const from = dataOf(options)
  if (options.out !== undefined) await checkWritable(options.out)
  const say = json ? () => {} : (text: string) => console.log(text)
  const warn = (text: string) => void process.stderr.write(`${text}\n`)

  const bytes = await readModelFile(model, options.seed)
  if (!json) say('Reading the data ...')
  const { graph, layout, params, schema } = await agree(bytes, from, options)
  const data = await loadData(from.data, schema, { selection: from, validation: options.validation, seed: options.seed })
  const loss = lossOf(options)
  const stepsPerEpoch = Math.ceil(data.train.samples / options.batchSize)
  const optimizer = optimizerOf(options, options.epochs * stepsPerEpoch)
  const notes = trainingNotes(graph, { loss, input: schema.input, target: schema.target })
  say(`Model: ${model}, ${layoutSize(layout).toLocaleString('en')} parameters in ${layout.length} tensors.`)
  say(`Data: ${data.summary}.`)
  say(
    `Training: ${loss.kind}, ${optimizer.kind} at ${optimizer.learningRate}, ${options.epochs} x ${stepsPerEpoch.toLocaleString('en')} steps of ${options.batchSize} samples.`,
  )
  for (const note of notes) json ? warn(note) : say(note)
  if (options.out === undefined) warn('The trained model will not be kept: add --out FILE.onnx to write it.')

  const { input, target } = schema
  const { batchSize, threads, provider } = options
  const stopping = interruptible()
  const trainer = await createTrainer({ graph, loss, optimizer, batchSize, input, target, data, threads, provider })
  const progress = json ? jsonLines(stepsPerEpoch) : createProgress(options, stepsPerEpoch)
  const began = performance.now()
  let result: AloneResult
  try {
    result = await trainAlone(trainer, params, {
      ...{ epochs: options.epochs, stepsPerEpoch, seed: options.seed, shuffle: options.shuffle },
      everyEpoch: !json,
      signal: stopping.signal,
      ...progress,
      ...(options.out !== undefined && { save: (now) => writeDurable(resolve(options.out!), exportModel(graph, layout, now)) }),
    })
  } finally {
    progress.end()
    await trainer.stop()
    stopping.done()
  }
  const took = (performance.now() - began) / 1000
  if (json) {
    const { ending, steps, evaluation } = result
    const epochs = steps / stepsPerEpoch
    const last = {
      ending,
      steps,
      epochs,
      loss: result.loss,
      seconds: took,
      evaluation: evaluation ?? null,
      out: options.out ? resolve(options.out) : null,
    }
    console.log(JSON.stringify(last))
  } else {
    const samplesPerSecond = Math.round((result.steps * batchSize) / took).toLocaleString('en')
    say(
      `${result.ending === 'finished' ? 'Finished' : 'Ended'} after ${result.steps.toLocaleString('en')} steps in ${seconds(took)} (${samplesPerSecond} samples/s).`,
    )
    if (result.evaluation !== undefined) {
      const { split, samples } = result.evaluation
      say(`On the ${samples.toLocaleString('en')} ${split === 'train' ? 'training' : 'validation'} samples: ${metrics(result.evaluation)}.`)
    }
    if (options.out !== undefined) say(`Model: ${resolve(options.out)}`)
  }
  if (result.ending === 'stopped') process.exitCode = INTERRUPTED
  if (result.diverged !== undefined) {
    warn(`murmur: ${result.diverged}${options.out === undefined ? '' : ` ${options.out} holds what was good before it.`}`)
    process.exitCode = FAILED
  }
}

/** Said before hours of training, not after. @throws disk-failed */
async function checkWritable(out: string): Promise<void> {
  const folder = dirname(resolve(out))
  try {
    await access(folder, constants.W_OK)
  } catch (cause) {
    throw new MurmurError(
      'disk-failed',
      `${resolve(out)} cannot be written (${(cause as NodeJS.ErrnoException).code}): ${folder} must be a folder to write to.`,
      { cause },
    )
  }
}

interface Progress {
  onSteps(done: { first: number; losses: Float32Array }): void
  onEpoch(done: { epoch: number; loss: number; evaluation: Parameters<typeof metrics>[0] | undefined }): void
  end(): void
}

/** Steps and epochs counted from 1. */
function jsonLines(stepsPerEpoch: number): Progress {
  return {
    onSteps({ first, losses }) {
      const lines = Array.from(losses, (loss, i) => {
        const step = first + i + 1
        return `${JSON.stringify({ step, epoch: Math.ceil(step / stepsPerEpoch), loss })}\n`
      })
      process.stdout.write(lines.join(''))
    },
    onEpoch() {},
    end() {},
  }
}

/** A line an epoch; between them one that moves on a terminal, elsewhere one every few seconds. */
function createProgress({ epochs, batchSize }: TrainOptions, stepsPerEpoch: number): Progress {
  const log = process.stdout.isTTY ? createLogUpdate(process.stdout) : undefined
  const began = performance.now()
  let said = began
  const total = epochs * stepsPerEpoch
  return {
    onSteps({ first, losses }) {
      if (losses.length === 0) return
      const now = performance.now()
      const steps = first + losses.length
      const rate = steps / ((now - began) / 1000)
      const mean = losses.reduce((sum, each) => sum + each, 0) / losses.length
      const samples = Math.round(rate * batchSize).toLocaleString('en')
      const line = `Epoch ${Math.ceil(steps / stepsPerEpoch)} of ${epochs}, step ${steps} of ${total}: loss ${mean.toFixed(4)}, ${samples} samples/s, ${seconds((total - steps) / rate)} left`
      if (log !== undefined) log(line)
      else if (now - said >= SILENCE_MILLIS && steps < total) {
        said = now
        console.log(line)
      }
    },
    onEpoch({ epoch, loss, evaluation }) {
      log?.clear()
      said = performance.now()
      console.log(
        `Epoch ${epoch} of ${epochs}: training loss ${loss.toFixed(4)}${evaluation === undefined ? '' : `; evaluation: ${metrics(evaluation)}`}`,
      )
    },
    end: () => log?.clear(),
  }
}
