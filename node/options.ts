// The one schema of everything that can be set: it yields the flags, murmur.yaml, its JSON Schema and the validation,
// and says of each key whether it is agreed by all peers (task) or a peer's own business (local).
import { z } from 'zod'
import { ZOO } from '../models/zoo/index.ts'
import { RULE_HELP } from '../protocol/aggregation/help.ts'
import { MurmurError } from '../protocol/errors.ts'
import type { Selection } from './data/spec.ts'

export interface OptionMeta {
  description: string
  /** Placeholder of the flag's value; none for a switch. */
  value?: string
}

const key = <S extends z.ZodType>(schema: S, description: string, value?: string): S =>
  schema.meta({ description, ...(value !== undefined && { value }) })

const positive = z.coerce.number().positive()
const whole = z.coerce.number().int().min(1)
const port = z.coerce.number().int().min(0).max(65_535)
const numbers = z.union([
  z
    .string()
    .transform((text) => text.split(',').map(Number))
    .pipe(z.array(z.number().min(0))),
  z.array(z.number().min(0)),
])
const list = z.union([z.string().transform((text) => text.split(',').map((part) => part.trim())), z.array(z.string())])

/** How a model learns: the same keys for a network and for training alone. */
const learning = ({ momentum, batchSize }: { momentum: number; batchSize: number }) => ({
  loss: key(z.enum(['cross-entropy', 'bce', 'mse', 'l1', 'huber']).default('cross-entropy'), 'what is made small', 'LOSS'),
  ignoreIndex: key(z.coerce.number().int().optional(), 'cross-entropy: labels with this number do not count', 'ID'),
  classWeights: key(numbers.optional(), 'weights of the classes, comma-separated; bce: of 0 and of 1', 'WEIGHTS'),
  labelSmoothing: key(z.coerce.number().min(0).max(1).optional(), 'cross-entropy, bce: share of each label that is spread evenly', 'SHARE'),
  huberDelta: key(positive.optional(), 'huber: distance from which it is linear (default: 1)', 'DELTA'),
  optimizer: key(z.enum(['sgd', 'adam', 'adamw']).default('sgd'), 'how weights follow their gradient', 'KIND'),
  lr: key(positive.max(1000).optional(), 'learning rate (default: 0.05 for sgd, 0.001 for adam and adamw)', 'RATE'),
  momentum: key(z.coerce.number().min(0).lt(1).default(momentum), 'momentum of sgd; it stays at the peer', 'SHARE'),
  nesterov: key(z.boolean().default(false), "Nesterov's momentum"),
  weightDecay: key(z.coerce.number().min(0).optional(), 'pull of all weights towards zero (default: 0, for adamw 0.01)', 'SHARE'),
  clipNorm: key(z.coerce.number().min(0).default(0), 'scale gradients down to this length; 0: never', 'NORM'),
  schedule: key(z.enum(['constant', 'cosine', 'step']).default('constant'), 'how the learning rate goes on', 'KIND'),
  scheduleSteps: key(z.coerce.number().int().min(0).default(0), 'steps of the whole cosine, or of each stair; 0: all there are', 'N'),
  scheduleFactor: key(z.coerce.number().min(0).max(1).default(0.1), 'what the cosine ends at, or each stair multiplies with', 'SHARE'),
  warmupSteps: key(z.coerce.number().int().min(0).default(0), 'steps in which the learning rate rises to its value', 'N'),
  batchSize: key(whole.max(65_536).default(batchSize), 'samples a training step', 'N'),
  trainable: key(list.optional(), 'weights to train, as patterns with *, comma-separated; !NAME takes out (default: all)', 'NAMES'),
})

/** Agreed when a network is founded, hashed into its id, and the same for all. */
export const taskOptions = z.strictObject({
  name: key(z.string().min(1).max(100).default('my-network'), 'name of the network', 'NAME'),
  model: key(z.string().default('mnist-cnn'), `forward model: ${Object.keys(ZOO).join(', ')}, or a path to an .onnx file`, 'MODEL'),
  rule: key(z.string().default('nnm | trimmed-mean'), RULE_HELP, 'RULE'),
  codec: key(
    z.enum(['float32', 'float16', 'int8']).optional(),
    'how models are encoded to travel: float32, float16 or int8 (default: int8, with BatchNormalization float16)',
    'CODEC',
  ),
  admission: key(z.enum(['open', 'invite']).default('open'), 'who may take part: anyone with the line, or who is invited', 'MODE'),
  byzantineShare: key(z.coerce.number().min(0).max(0.49).default(0.2), 'share of members that may be malicious', 'SHARE'),
  minPeers: key(whole.max(1024).default(4), 'round 1 starts when this many peers are present', 'N'),
  rounds: key(whole.default(100), 'most rounds', 'N'),
  targetAccuracy: key(z.coerce.number().min(0).max(1).optional(), 'stop once peers hold this validation accuracy for two rounds', 'SHARE'),
  steps: key(whole.max(1_000_000).default(100), 'training steps a round', 'N'),
  roundSeconds: key(positive.optional(), 'most seconds of training a round, so that slow peers keep up', 'SECONDS'),
  ...learning({ momentum: 0.9, batchSize: 32 }),
  proximal: key(z.coerce.number().min(0).default(0), 'FedProx: pull towards the model that the round began with; 0: none', 'MU'),
  personal: key(list.optional(), 'weights that never leave their peer, as patterns with *, comma-separated', 'NAMES'),
  gatherMinSeconds: key(positive.default(2), "gather others' updates for at least this long when some are missing", 'SECONDS'),
  gatherMaxSeconds: key(positive.default(60), 'and for at most this long', 'SECONDS'),
  seed: key(z.coerce.number().int().min(0).default(1), 'seed of the initial weights', 'N'),
  testTask: key(z.boolean().default(false), 'a network for experiments: peers may be told to misbehave'),
})

/** What a source is made of. */
const selection = {
  input: key(z.string().optional(), 'the array or columns that go into the model (default: x, or all columns but the label)', 'NAMES'),
  label: key(z.string().optional(), 'the array or column to predict (default: y, or a column label, target, class or y)', 'NAME'),
  vocabulary: key(z.string().optional(), 'for text: a file with one token a line (default: its characters)', 'FILE'),
}
const data = key(
  z.string().optional(),
  'training data: "mnist", or a file or directory: CSV, JSON lines, Parquet, NumPy, IDX, safetensors, text, images',
  'DATA',
)
const memory = key(whole.default(1024), 'MiB of memory for samples; larger data is read in parts', 'MIB')
const threads = key(whole.max(64).default(1), 'threads for training', 'N')
const provider = key(z.string().default('cpu'), 'execution provider of onnxruntime, such as cpu, cuda, coreml', 'NAME')

/** A peer's own: kept in murmur.yaml, never sent. */
export const localOptions = z.strictObject({
  data,
  ...selection,
  memory,
  shard: key(
    z
      .string()
      .regex(/^(\d+|auto)\/\d+$/, 'must be like 2/6, or auto/6')
      .optional(),
    'use one part of the data: 2/6, or auto/6 to choose by peer id',
    'K/N',
  ),
  alpha: key(positive.default(0.5), 'Dirichlet alpha of the parts: small is uneven', 'ALPHA'),
  dataSeed: key(z.coerce.number().int().min(0).default(1), 'seed of the parts and of the validation split', 'N'),
  validation: key(z.coerce.number().gt(0).lt(0.9).default(0.1), 'share of the data kept for validation', 'SHARE'),
  listen: key(list.default(['/ip4/0.0.0.0/tcp/0']), 'multiaddrs to listen on, comma-separated', 'ADDRS'),
  announce: key(list.optional(), 'multiaddrs to tell others besides its own, comma-separated', 'ADDRS'),
  bootstrap: key(list.optional(), 'multiaddrs of members to connect to, comma-separated', 'ADDRS'),
  mdns: key(z.boolean().default(true), 'do not look for members on the local network'),
  relay: key(z.boolean().default(true), 'do not relay for members that cannot be dialled'),
  upnp: key(z.boolean().default(false), 'ask the router to open a port'),
  threads,
  provider,
  test: key(z.boolean().default(false), 'read the test set once, at the end'),
  exitWhenFinished: key(z.boolean().default(false), 'exit once finished instead of serving others'),
  twinCheck: key(z.boolean().default(true), 'start although members see another process with this identity; not kept'),
  dashboard: key(z.boolean().default(true), 'serve no dashboard on this machine'),
  dashboardPort: key(port.default(0), 'port of the dashboard, on 127.0.0.1; 0: any that is free', 'PORT'),
  metricsPort: key(port.optional(), 'also serve /metrics and /health on this port of 127.0.0.1, to whoever asks there', 'PORT'),
  joinFile: key(z.string().optional(), 'also write the join line to this file', 'FILE'),
  misbehave: key(z.string().optional(), 'test tasks only: attack as NAME[:SCALE]', 'ATTACK'),
  probe: key(list.optional(), 'test tasks only: measure what these peer ids move', 'PEERS'),
})

/** Training alone, see cli/train.ts. */
export const trainOptions = z.strictObject({
  data,
  ...selection,
  memory,
  ...learning({ momentum: 0, batchSize: 32 }),
  epochs: key(whole.max(1_000_000).default(1), 'how often every sample is trained on', 'N'),
  seed: key(z.coerce.number().int().min(0).default(1), 'seed of shuffling, of the split, and of dropout', 'N'),
  shuffle: key(z.boolean().default(true), 'keep the samples in the order of the data'),
  validation: key(z.coerce.number().min(0).lt(1).default(0.1), 'share of the data kept for validation; 0: none', 'FRACTION'),
  threads,
  provider,
  out: key(z.string().optional(), 'write the trained model to this file', 'FILE'),
})

/** Looking at a model, see cli/model.ts. */
export const modelOptions = z.strictObject({
  // Gradients are compared in hundreds of runs.
  ...learning({ momentum: 0, batchSize: 8 }),
  personal: key(list.optional(), 'weights that never leave their peer, as patterns with *, comma-separated', 'NAMES'),
  sample: key(
    z
      .string()
      .regex(/^\d+(x\d+)*$/, 'must be like 64 or 3x32x32')
      .transform((text) => text.split('x').map(Number))
      .optional(),
    'shape of one sample, where the model leaves it open: 64, or 3x32x32',
    'SHAPE',
  ),
  threads,
  provider,
})

export type ModelOptions = z.output<typeof modelOptions>
export type Options = z.ZodObject
export type TrainOptions = z.output<typeof trainOptions>
export type TaskOptions = z.output<typeof taskOptions>
export type LocalOptions = z.output<typeof localOptions>
export type LocalInput = z.input<typeof localOptions>

/** Where data is, and what of it is what. @throws bad-argument where none is named */
export function dataOf({ data, input, label, vocabulary }: LocalOptions | TrainOptions): { data: string } & Selection {
  if (data === undefined) {
    throw new MurmurError('bad-argument', 'No data is named: add --data mnist, or --data with a file or directory of your own.')
  }
  return { data, input, label, vocabulary }
}

export const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** The given values that belong to a schema. */
export function pick(schema: Options, given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => name in schema.shape && value !== undefined))
}

/** Parses options; a mistake is one sentence that names the flag, the value and what would do. @throws bad-argument, bad-config */
export function parseOptions<S extends Options>(schema: S, given: Record<string, unknown>, file?: string): z.output<S> {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data as z.output<S>
  const issue = parsed.error.issues[0]!
  const name = String(issue.path[0] ?? (issue.code === 'unrecognized_keys' ? issue.keys[0] : ''))
  if (issue.code === 'unrecognized_keys') {
    throw new MurmurError(
      'bad-config',
      `${file ?? 'The configuration'} has an unknown key "${name}"; known are ${Object.keys(schema.shape).join(', ')}.`,
    )
  }
  const where = file === undefined ? `--${kebab(name)}` : `${name} in ${file}`
  const meaning = (schema.shape as Record<string, z.ZodType>)[name]?.description ?? 'an option'
  throw new MurmurError(
    file === undefined ? 'bad-argument' : 'bad-config',
    `${where} cannot be ${JSON.stringify(given[name])}: ${wanted(issue)} (${meaning}).`,
  )
}

/** What would do, in words for people who have not met the schema. */
function wanted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_value':
      return `give one of ${issue.values.join(', ')}`
    case 'too_small':
      return `give ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`
    case 'too_big':
      return `give ${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}`
    case 'invalid_type':
      return `give a ${issue.expected === 'int' ? 'whole number' : issue.expected}`
    case 'invalid_union':
      return 'give numbers of at least 0, separated by commas'
    default:
      return `it ${issue.message}`
  }
}
