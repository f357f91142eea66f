// `murmur train`: trains a model on data, alone and without a network.
import { access, constants, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { createLogUpdate } from 'log-update'
import { exportModel, loadModel, onlyBatch, trainingNotes } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { layoutSize } from '../../protocol/layout.ts'
import { loadData } from '../data/load.ts'
import type { DataSet } from '../data/spec.ts'
import { agree, lossOf, optimizerOf, readModelFile } from '../learning.ts'
import { dataOf, parseOptions, type TrainOptions, trainOptions } from '../options.ts'
import { writeDurable } from '../store/files.ts'
import { type AloneOptions, type AloneResult, trainAlone } from '../train/alone.ts'
import { stepsPerEpoch } from '../train/batches.ts'
import { checkDataSet } from '../train/data-set.ts'
import { createTrainer } from '../train/trainer.ts'
import { duration, lossText, mean, metrics, seconds } from './format.ts'
import { createHeartbeat, type Heartbeat } from './heartbeat.ts'
import { INTERRUPTED, interruptible } from './interruptible.ts'

const FAILED = 1
const MIB = 1024 * 1024

const count = (value: number): string => value.toLocaleString('en')
/** A line that moves, on a terminal. */
const log = process.stdout.isTTY ? createLogUpdate(process.stdout) : undefined
const say = (text: string) => {
  log?.clear()
  console.log(text)
}
const warn = (text: string) => void process.stderr.write(`${text}\n`)

export async function trainCommand(model: string, { json = false, ...given }: Record<string, unknown> & { json?: boolean }): Promise<void> {
  const options = parseOptions(trainOptions, given)
  const from = dataOf(options)
  const out = options.out === undefined ? undefined : resolve(options.out)
  if (out !== undefined) await checkWritable(out)
  const tell = json ? warn : say
  const heartbeat = createHeartbeat(json ? warn : (log ?? say))

  const bytes = await readModelFile(model, options.seed)
  heartbeat.doing('reading the data')
  if (!json) say('Reading the data ...')
  const { graph, layout, params, schema } = await agree(bytes, from, options)
  const { batchSize, epochs, seed, shuffle, threads, provider } = options
  const loss = lossOf(options)
  const check = (set: DataSet) => checkDataSet('train', set, { ...schema, loss })
  const window = { bytes: options.memory * MIB, batchSize, shuffle, check }
  const data = await loadData(from.data, schema, { selection: from, validation: options.validation, seed, window, tell })
  const { input, target } = schema
  const { stream } = data
  const samples = stream?.samples ?? data.train.samples
  const only = onlyBatch(loadModel(graph), input.shape)
  const perEpoch = stepsPerEpoch(samples, batchSize, only !== undefined)
  if (perEpoch === 0 && only === batchSize) {
    throw new MurmurError('data-invalid', `The model takes batches of ${only} samples, and there are ${samples} to train on; give more.`)
  }
  const optimizer = optimizerOf(options, epochs * perEpoch)
  const notes = trainingNotes(graph, { loss, input, target })
  if (!json) {
    say(`Model: ${model}, ${count(layoutSize(layout))} parameters in ${layout.length} tensors.`)
    say(`Data: ${data.summary}.`)
    const batch = Math.min(batchSize, samples)
    say(`Training: ${loss.kind}, ${optimizer.kind} at ${optimizer.learningRate}, ${epochs} x ${count(perEpoch)} steps of ${batch} samples.`)
  }
  for (const note of notes) tell(note)
  if (out === undefined) warn('The trained model will not be kept: add --out FILE.onnx to write it.')

  const stopping = interruptible()
  const progress = json ? jsonLines(perEpoch) : createProgress(options, perEpoch, samples, heartbeat)
  const began = performance.now()
  let result: AloneResult
  try {
    heartbeat.doing('compiling the training graph')
    const trainer = await createTrainer({ graph, loss, optimizer, batchSize, input, target, data, threads, provider })
    heartbeat.doing('training')
    try {
      result = await trainAlone(trainer, params, {
        ...{ epochs, stepsPerEpoch: perEpoch, seed, shuffle },
        windows: stream && { stepsPerWindow: stream.windowSamples / batchSize, stream },
        // Without validation data the training loss tells as much.
        everyEpoch: !json && data.validation.samples > 0,
        signal: stopping.signal,
        ...progress,
        onEvaluate() {
          heartbeat.doing('evaluating')
        },
        onEpoch(done) {
          heartbeat.doing('training')
          progress.onEpoch?.(done)
        },
        ...(out !== undefined && { save: (now) => writeDurable(out, exportModel(graph, layout, now)) }),
      })
    } finally {
      await trainer.stop()
    }
  } finally {
    heartbeat.end()
    progress.end()
    await data.close?.()
    stopping.done()
  }
  const took = (performance.now() - began) / 1000
  const isKept = out !== undefined && result.saved
  if (json) {
    const { ending, steps, evaluation = null } = result
    const last = { ending, steps, epochs: steps / perEpoch, loss: result.loss, seconds: took, evaluation, out: isKept ? out : null }
    say(JSON.stringify(last))
  } else {
    const how = result.ending === 'finished' ? 'Finished' : result.ending === 'stopped' ? 'Stopped' : 'Ended'
    say(`${how} after ${count(result.steps)} steps in ${seconds(took)} (${count(Math.round(result.samples / took))} samples/s).`)
    if (result.evaluation !== undefined) {
      const { split, samples } = result.evaluation
      say(`On the ${count(samples)} ${split === 'train' ? 'training' : 'validation'} samples: ${metrics(result.evaluation)}.`)
    }
    if (isKept && result.ending !== 'diverged')
      say(`${result.ending === 'finished' ? 'The trained model is' : 'What was learned until then is'} in ${out}.`)
  }
  if (result.ending === 'stopped') {
    if (out !== undefined && !isKept) warn(`murmur: stopped before the first step; ${out} was not written.`)
    process.exitCode = INTERRUPTED
  }
  if (result.diverged !== undefined) {
    const kept = out === undefined ? '' : ` ${out} holds what was good before it.`
    warn(`murmur: ${result.diverged}${kept}`)
    process.exitCode = FAILED
  }
}

/** Said before hours of training, not after. @throws disk-failed */
async function checkWritable(out: string): Promise<void> {
  const folder = dirname(out)
  try {
    await access(folder, constants.W_OK)
  } catch (cause) {
    throw new MurmurError(
      'disk-failed',
      `${out} cannot be written (${(cause as NodeJS.ErrnoException).code}): ${folder} must be a folder to write to.`,
      { cause },
    )
  }
  const found = await stat(out).catch(() => undefined)
  if (found?.isDirectory())
    throw new MurmurError('disk-failed', `${out} is a folder; name a file in it, such as --out ${join(out, 'trained.onnx')}.`)
}

type Progress = Pick<AloneOptions, 'onSteps' | 'onEpoch'> & { end(): void }

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
    end() {},
  }
}

/** A line an epoch; between them one that moves on a terminal, elsewhere one every few seconds. */
function createProgress({ epochs }: TrainOptions, stepsPerEpoch: number, samplesPerEpoch: number, heartbeat: Heartbeat): Progress {
  const began = performance.now()
  const total = epochs * stepsPerEpoch
  return {
    onSteps({ first, losses }) {
      const steps = first + losses.length
      // The line of an epoch follows.
      if (losses.length === 0 || steps % stepsPerEpoch === 0) return
      const rate = steps / ((performance.now() - began) / 1000)
      const samples = count(Math.round((rate * samplesPerEpoch) / stepsPerEpoch))
      const line = `Epoch ${Math.ceil(steps / stepsPerEpoch)} of ${epochs}, step ${count(steps)} of ${count(total)}: loss ${lossText(mean(losses))}, ${samples} samples/s, ${duration((total - steps) / rate)} left`
      if (log !== undefined) log(line)
      else if (heartbeat.due()) say(line)
      else return
      heartbeat.said()
    },
    onEpoch({ epoch, loss, evaluation }) {
      heartbeat.said()
      say(
        `Epoch ${epoch} of ${epochs}: training loss ${lossText(loss)}${evaluation === undefined ? '' : `; validation: ${metrics(evaluation)}`}`,
      )
    },
    end: () => log?.clear(),
  }
}
