// The one schema of everything that can be set: it yields the flags, murmur.yaml, its JSON Schema and the validation,
// and says of each key whether it is agreed by all peers (task) or a peer's own business (local).
import { z } from 'zod'
import { ZOO } from '../models/zoo/index.ts'
import { MurmurError } from '../protocol/errors.ts'

export interface OptionMeta {
  description: string
  /** Placeholder of the flag's value; none for a switch. */
  value?: string
}

const key = <S extends z.ZodType>(schema: S, description: string, value?: string): S =>
  schema.meta({ description, ...(value !== undefined && { value }) })

const positive = z.coerce.number().positive()
const whole = z.coerce.number().int().min(1)
const list = z.union([z.string().transform((text) => text.split(',').map((part) => part.trim())), z.array(z.string())])

/** Agreed when a network is founded, hashed into its id, and the same for all. */
export const taskOptions = z.strictObject({
  name: key(z.string().min(1).max(100).default('my-network'), 'name of the network', 'NAME'),
  model: key(z.string().default('mnist-cnn'), `forward model: ${Object.keys(ZOO).join(', ')}, or a path to an .onnx file`, 'MODEL'),
  rule: key(z.string().default('nnm | trimmed-mean'), 'aggregation: [nnm |] mean, trimmed-mean or median', 'RULE'),
  byzantineShare: key(z.coerce.number().min(0).max(0.49).default(0.2), 'share of members that may be malicious', 'SHARE'),
  minPeers: key(whole.max(1024).default(4), 'round 1 starts when this many peers are present', 'N'),
  rounds: key(whole.default(100), 'most rounds', 'N'),
  targetAccuracy: key(z.coerce.number().min(0).max(1).optional(), 'stop once peers hold this validation accuracy for two rounds', 'SHARE'),
  steps: key(whole.max(1_000_000).default(100), 'training steps a round', 'N'),
  roundSeconds: key(positive.optional(), 'most seconds of training a round, so that slow peers keep up', 'SECONDS'),
  batchSize: key(whole.max(65_536).default(32), 'samples a training step', 'N'),
  learningRate: key(positive.default(0.05), 'learning rate of SGD', 'RATE'),
  schedule: key(
    z.enum(['constant', 'cosine']).default('constant'),
    'how the learning rate goes on: constant, or cosine down to a tenth',
    'KIND',
  ),
  scheduleSteps: key(z.coerce.number().int().min(0).default(0), 'steps of the cosine; 0: all rounds', 'N'),
  momentum: key(z.coerce.number().min(0).lt(1).default(0.9), 'momentum of SGD; it stays at the peer', 'SHARE'),
  gatherMinSeconds: key(positive.default(2), "gather others' updates for at least this long when some are missing", 'SECONDS'),
  gatherMaxSeconds: key(positive.default(60), 'and for at most this long', 'SECONDS'),
  seed: key(z.coerce.number().int().min(0).default(1), 'seed of the initial weights', 'N'),
  testTask: key(z.boolean().default(false), 'a network for experiments: peers may be told to misbehave'),
})

/** A peer's own: kept in murmur.yaml, never sent. */
export const localOptions = z.strictObject({
  data: key(z.string().optional(), 'training data: "mnist", or a directory with IDX files', 'SPEC'),
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
  announce: key(list.optional(), 'multiaddrs that others should dial instead, comma-separated', 'ADDRS'),
  bootstrap: key(list.optional(), 'multiaddrs of members to connect to, comma-separated', 'ADDRS'),
  threads: key(whole.max(64).default(1), 'threads for training', 'N'),
  test: key(z.boolean().default(false), 'read the test set once, at the end'),
  exitWhenFinished: key(z.boolean().default(false), 'exit once finished instead of serving others'),
  joinFile: key(z.string().optional(), 'also write the join line to this file', 'FILE'),
  misbehave: key(z.string().optional(), 'test tasks only: attack as NAME[:SCALE]', 'ATTACK'),
  probe: key(list.optional(), 'test tasks only: measure what these peer ids move', 'PEERS'),
})

export type TaskOptions = z.output<typeof taskOptions>
export type LocalOptions = z.output<typeof localOptions>
export type LocalInput = z.input<typeof localOptions>

export const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** The given values that belong to a schema. */
export function pick(schema: typeof taskOptions | typeof localOptions, given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => name in schema.shape && value !== undefined))
}

/** Parses options; a mistake is one sentence that names the flag, the value and what would do. @throws bad-argument, bad-config */
export function parseOptions<S extends typeof taskOptions | typeof localOptions>(
  schema: S,
  given: Record<string, unknown>,
  file?: string,
): z.output<S> {
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
  throw new MurmurError(
    file === undefined ? 'bad-argument' : 'bad-config',
    `${where} cannot be ${JSON.stringify(given[name])}: ${issue.message}. It is ${(schema.shape as Record<string, z.ZodType>)[name]?.description ?? 'an option'}.`,
  )
}
