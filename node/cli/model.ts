// `murmur model inspect` and `murmur model check`: what a model is, and whether it can be trained, before it is.
import Table from 'cli-table3'
import { describeModel, loadModel, modelSignature, splitWeights, suitableTask, trainingNotes } from '../../models/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { layoutSize, sizeOf } from '../../protocol/layout.ts'
import { lossOf, optimizerOf, readModelFile, splitOf } from '../learning.ts'
import { type ModelOptions, modelOptions, parseOptions } from '../options.ts'
import { TOLERANCE } from '../train/gradient-check.ts'
import { runLimited } from '../train/limited.ts'

type Given = Record<string, unknown> & { json?: boolean }

const FAILED = 1
/** Rows of a table of tensors; a model has hundreds. */
const ROWS = 60

const count = (value: number): string => value.toLocaleString('en')
const dims = (shape: readonly (number | string)[]): string => (shape.length === 0 ? 'a single number' : shape.join(' x '))

async function open(name: string, given: Given) {
  const options: ModelOptions = parseOptions(modelOptions, given)
  return { options, ...splitWeights(await readModelFile(name, 1), splitOf(options)) }
}

export async function inspectCommand(name: string, { json, ...given }: Given): Promise<void> {
  const { options, graph, layout } = await open(name, given)
  const about = describeModel(graph)
  const model = loadModel(graph)
  const notes = notesOf(() => trainingNotes(graph, suitableTask(model, lossOf(options), options.sample)))
  if (json) {
    console.log(JSON.stringify({ ...about, size: layoutSize(layout), notes }))
    return
  }
  const type = about.input.type === 1 ? 'float32' : 'whole numbers'
  console.log(`Input   ${about.input.name}: ${type}, ${dims(about.input.dims)}`)
  for (const output of about.outputs) console.log(`Output  ${output.name}: ${dims(output.dims)}`)
  const operators = Object.entries(about.operators).sort(([a], [b]) => (a < b ? -1 : 1))
  console.log(`Operators: ${operators.map(([op, times]) => (times === 1 ? op : `${op} x ${times}`)).join(', ')}`)
  const table = new Table({ head: ['trained tensor', 'shape', 'numbers', 'segment'], style: { head: [], border: [], compact: true } })
  for (const { name, shape, segment } of about.parameters.slice(0, ROWS)) table.push([name, dims(shape), count(sizeOf(shape)), segment])
  console.log(table.toString())
  if (about.parameters.length > ROWS) console.log(`... and ${about.parameters.length - ROWS} more; --json lists all.`)
  const segments = (['shared', 'stats', 'personal'] as const).map((segment) => [segment, layoutSize(layout, segment)] as const)
  const parts = segments.filter(([, size]) => size > 0).map(([segment, size]) => `${count(size)} ${MEANING[segment]}`)
  console.log(`${count(layoutSize(layout))} numbers in ${layout.length} tensors: ${parts.join(', ')}.`)
  if (about.fixed.length > 0) {
    const names = about.fixed.slice(0, ROWS).map(({ name, shape }) => `${name} (${dims(shape)})`)
    console.log(`Not trained: ${names.join(', ')}. Name what to train with --trainable.`)
  }
  for (const note of notes) console.log(note)
}

const MEANING = { shared: 'trained and shared', stats: 'running statistics, shared', personal: 'trained and kept by each peer' } as const

/** What cannot be told of a model without data is left out. */
function notesOf(make: () => string[]): string[] {
  try {
    return make()
  } catch (error) {
    return [(error as Error).message]
  }
}

export async function checkCommand(name: string, { json, ...given }: Given): Promise<void> {
  const { options, graph, layout, params } = await open(name, given)
  if (options.sample === undefined && modelSignature(graph).inputShape.includes(null)) {
    throw new MurmurError('bad-argument', `${name} leaves the shape of a sample open; add --sample with one, such as 64 or 3x32x32.`)
  }
  const task = suitableTask(loadModel(graph), lossOf(options), options.sample)
  const { batchSize, threads, provider } = options
  if (!json) console.log('Compiling, and comparing gradients with finite differences, in a process of its own ...')
  const result = await runLimited(
    {
      kind: 'check',
      ...{ graph, params, parameters: params.length, batchSize, threads, provider },
      ...task,
      // Plain steps: the gradient itself is compared.
      optimizer: optimizerOf(parseOptions(modelOptions, { lr: 1 }), 1),
    },
    { onWait: (seconds) => process.stderr.write(`Still comparing, ${seconds} s ...\n`) },
  )
  const wrong = result.tensors.filter(({ error }) => !(error <= TOLERANCE))
  const worst = Math.max(0, ...result.tensors.map(({ error }) => error))
  const still = result.tensors.filter(({ norm }) => norm === 0).map(({ name }) => name)
  if (wrong.length > 0) process.exitCode = FAILED
  if (json) {
    console.log(JSON.stringify({ ok: wrong.length === 0, worst, ...result }))
    return
  }
  console.log(
    `Compiled in ${result.compileMillis.toFixed(0)} ms; a step of ${batchSize} samples takes ${result.stepMillis.toPrecision(3)} ms.`,
  )
  console.log(`Loss ${result.loss.toFixed(4)} on made-up samples of shape [${task.input.shape.join(', ')}].`)
  if (still.length > 0) console.log(`The loss does not depend on ${still.join(', ')}: no training will change them.`)
  if (wrong.length === 0) {
    console.log(
      `Gradients of all ${result.tensors.length} tensors (${count(layoutSize(layout, 'shared', 'personal'))} numbers) agree with finite differences; the largest relative error is ${worst.toExponential(1)}.`,
    )
    return
  }
  for (const { name, error } of wrong) {
    console.log(
      `The gradient of ${name} differs from finite differences by ${(100 * error).toFixed(0)} %, at several places: many kinks, or a defect; please report the model.`,
    )
  }
}
