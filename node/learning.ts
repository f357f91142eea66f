// From options, a model and data to what a task says of learning: which weights take part, loss, optimizer, and the data's schema.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  classesOf,
  type LossOptions,
  type ModelSignature,
  modelSignature,
  type OptimizerOptions,
  type SplitModel,
  type SplitOptions,
  splitWeights,
  type TargetOptions,
} from '../models/index.ts'
import { isZooModel, ZOO, zooModel } from '../models/zoo/index.ts'
import { MurmurError } from '../protocol/errors.ts'
import { type Manifest, manifestSchema } from '../protocol/manifest.ts'
import { proposeSchema } from './data/load.ts'
import type { DataSchema, Selection } from './data/spec.ts'
import type { ModelOptions, TaskOptions, TrainOptions } from './options.ts'

type Learning = TaskOptions | TrainOptions | ModelOptions

const LEARNING_RATE = { sgd: 0.05, adam: 0.001, adamw: 0.001 } as const
/** PyTorch's defaults. */
const WEIGHT_DECAY = { sgd: 0, adam: 0, adamw: 0.01 } as const

/** The keys that are set. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as ReturnType<typeof given<T>>
}

export const lossOf = ({ loss, ignoreIndex, classWeights, labelSmoothing, huberDelta }: Learning): LossOptions => ({
  kind: loss,
  ...given({ ignoreIndex, classWeights, labelSmoothing, huberDelta }),
})

/** @param steps all that there will be, for schedules that span them */
export function optimizerOf(options: Learning, steps: number): OptimizerOptions {
  const { optimizer: kind, lr, momentum, nesterov, weightDecay, clipNorm, schedule, scheduleSteps, scheduleFactor, warmupSteps } = options
  return manifestSchema.shape.optimizer.parse({
    ...{ kind, momentum: kind === 'sgd' ? momentum : 0, nesterov, clipNorm, schedule, scheduleFactor, warmupSteps },
    learningRate: lr ?? LEARNING_RATE[kind],
    weightDecay: weightDecay ?? WEIGHT_DECAY[kind],
    scheduleSteps: schedule === 'constant' ? 0 : scheduleSteps || Math.max(1, steps - warmupSteps),
    proximal: 'proximal' in options ? options.proximal : 0,
  })
}

export const splitOf = (options: Learning): SplitOptions =>
  given({ trainable: options.trainable, personal: 'personal' in options ? options.personal : undefined })

/** The kind of labels that a loss takes of a model. */
function targetKind({ loss }: Learning, { perPosition }: ModelSignature): TargetOptions['kind'] {
  if (loss === 'cross-entropy') return perPosition ? 'tokens' : 'class'
  return loss === 'bce' ? 'binary' : 'number'
}

/** The options that say the same as a task's loss and optimizer; what a repeated command gives is held against them. */
export function learningOf({ loss, optimizer, work }: Manifest): Partial<TaskOptions> {
  const { kind, learningRate, scheduleSteps: _, ...rest } = optimizer
  const { kind: lossKind, ...lossRest } = loss
  return { ...rest, ...lossRest, optimizer: kind, lr: learningRate, loss: lossKind, batchSize: work.batchSize } as Partial<TaskOptions>
}

/** @param name a built-in model's, or a path to an .onnx file. @throws bad-argument, model-invalid */
export async function readModelFile(name: string, seed: number): Promise<Uint8Array> {
  if (isZooModel(name)) return zooModel(name, seed)
  if (!name.endsWith('.onnx')) {
    throw new MurmurError(
      'bad-argument',
      `The model "${name}" is neither a path to an .onnx file nor one of the built-in ones, ${Object.keys(ZOO).join(', ')}.`,
    )
  }
  try {
    return await readFile(name)
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? String(cause)
    throw new MurmurError('model-invalid', `The model ${resolve(name)} cannot be read: ${why}.`, { cause })
  }
}

/**
 * What a founder's model and data make together, or those of one who trains alone.
 * @throws model-invalid, operator-unsupported, data-missing, data-invalid where they do not go together
 */
export async function agree(
  model: Uint8Array,
  from: { data: string } & Selection,
  options: Learning,
): Promise<SplitModel & { schema: DataSchema }> {
  const split = splitWeights(model, splitOf(options))
  const signature = modelSignature(split.graph)
  const schema = await proposeSchema(from.data, from, {
    input: signature.input,
    inputShape: signature.inputShape,
    target: targetKind(options, signature),
  })
  if ((schema.input.dtype === 'int64') !== (signature.input === 'int64')) {
    const [has, takes] = [schema.input.dtype, signature.input].map((type) =>
      type === 'int64' ? 'whole numbers such as token ids' : `numbers (${type})`,
    )
    throw new MurmurError('data-invalid', `${from.data} holds ${has}, but the model takes ${takes}.`)
  }
  const classes = classesOf(split.graph, lossOf(options), schema.input, schema.target)
  if (classes === undefined) return { ...split, schema }
  if (classes < schema.target.size) {
    const what = schema.vocabulary === undefined ? 'classes' : 'different tokens'
    throw new MurmurError('data-invalid', `${from.data} has ${schema.target.size} ${what}, but the model tells only ${classes} apart.`)
  }
  return { ...split, schema: { ...schema, target: { ...schema.target, size: classes } } }
}
