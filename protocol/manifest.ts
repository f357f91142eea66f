// The task manifest, version 1: everything all peers of a network must agree on. The SHA-256 of its bytes is the network's id.
// It travels as JSON inside the founder's signed envelope; what is hashed is the bytes received, never a re-encoding.
import { z } from 'zod'
import { parseRule } from './aggregation/index.ts'
import { MurmurError } from './errors.ts'
import { LIMITS } from './limits.ts'

const hex32 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lowercase hex digits')
/** Text that people are shown: no control characters, which could rewrite a terminal. */
const text = z
  .string()
  .min(1)
  .max(LIMITS.nameLength)
  .regex(/^\P{C}+$/u, 'must not hold control characters')
const count = z.int().min(1)
const seconds = z.number().positive().max(31_536_000)
const share = z.number().min(0).max(1)
const dims = z.array(z.int().min(1)).max(LIMITS.tensorRank)

const payload = z.strictObject({ hash: hex32, length: z.int().min(0).max(LIMITS.payloadBytes), codec: text })

const layout = z
  .array(z.strictObject({ name: z.string().max(LIMITS.nameLength), shape: dims, segment: z.enum(['shared', 'stats', 'personal']) }))
  .min(1)
  .max(LIMITS.layoutTensors)

const loss = z.strictObject({
  kind: z.enum(['cross-entropy', 'bce', 'mse', 'l1', 'huber']),
  ignoreIndex: z.int().optional(),
  classWeights: z.array(z.number().min(0)).max(65_536).optional(),
  labelSmoothing: share.optional(),
  huberDelta: z.number().positive().optional(),
})

const optimizer = z.strictObject({
  kind: z.enum(['sgd', 'adam', 'adamw']),
  learningRate: z.number().positive().max(1000),
  momentum: z.number().min(0).lt(1).default(0),
  nesterov: z.boolean().default(false),
  weightDecay: z.number().min(0).default(0),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.999),
  epsilon: z.number().positive().default(1e-8),
  schedule: z.enum(['constant', 'cosine', 'step']).default('constant'),
  scheduleSteps: z.int().min(0).default(0),
  scheduleFactor: z.number().min(0).max(1).default(0.1),
  warmupSteps: z.int().min(0).default(0),
  /** Global gradient norm above which gradients are scaled down; 0: never. */
  clipNorm: z.number().min(0).default(0),
  /** FedProx mu; 0: off. */
  proximal: z.number().min(0).default(0),
})

/** Classes, or numbers that a model answers: a count of each is kept, so that this bounds memory. Vocabularies have 256,000. */
const MAX_TARGET = 2 ** 24

const data = z.strictObject({
  input: z.strictObject({
    dtype: z.enum(['uint8', 'float32', 'int64']),
    /** Shape of one sample. */
    shape: dims,
    /** The model sees (raw - offset) * scale. */
    scale: z.number().default(1),
    offset: z.number().default(0),
  }),
  target: z.strictObject({
    kind: z.enum(['class', 'binary', 'number', 'tokens']),
    /** class, tokens: number of classes. binary, number: numbers a sample, the product of `shape`. */
    size: count.max(MAX_TARGET),
    /** Shape of one sample's labels; []: a single one. */
    shape: dims.default([]),
    names: z.array(z.string().max(LIMITS.nameLength)).max(65_536).optional(),
  }),
  /** For tables: the columns in order. Statistics are agreed here, so that no peer's own leak or differ. */
  columns: z
    .array(
      z.strictObject({
        name: text,
        kind: z.enum(['number', 'category', 'label']),
        mean: z.number().optional(),
        deviation: z.number().positive().optional(),
        categories: z.array(z.string().max(LIMITS.nameLength)).max(65_536).optional(),
        /** How a category enters the model: as a column of zeros and a one for each, or as its number, from 0, in one column. */
        encoding: z.enum(['one-hot', 'code']).optional(),
      }),
    )
    .max(65_536)
    .optional(),
  /** For text: the vocabulary in order of token id. */
  vocabulary: z.array(z.string().max(LIMITS.nameLength)).max(65_536).optional(),
})

export const manifestSchema = z.strictObject({
  version: z.literal(1),
  name: text,
  /** Random, so that two networks with the same settings have different ids. */
  nonce: hex32,
  /** Forward ONNX graph without its weights, and the initial weights in their codec. */
  model: payload.extend({ name: text }),
  weights: payload,
  layout,
  loss,
  optimizer,
  /** Local work of a round: `steps` or `roundSeconds`, whichever comes first, at least one step. */
  work: z.strictObject({ batchSize: count.max(65_536), steps: count.max(1_000_000), roundSeconds: seconds.optional() }),
  rule: z.string().min(1).max(LIMITS.nameLength),
  /** Share of members that may be malicious, in basis points; see `byzantineBound`. */
  byzantineShare: z.int().min(0).max(4999),
  codec: z.enum(['float32', 'int8', 'float16']),
  pace: z.strictObject({
    /** Round 1 starts when this many members are present, the own peer included. */
    minPeers: count.max(LIMITS.members),
    /** tau: an author's latest record counts while at most this many rounds old. */
    staleness: z.int().min(0).max(100),
    /** Bounds of the adaptive deadline for gathering, from the own announcement. */
    gatherMinSeconds: seconds,
    gatherMaxSeconds: seconds,
    /** A member silent for longer is no longer counted. */
    absentAfterSeconds: seconds,
  }),
  stop: z.strictObject({
    rounds: count.optional(),
    seconds: seconds.optional(),
    /** Own validation accuracy, and the median of the members', two rounds running. */
    targetAccuracy: share.optional(),
    never: z.literal(true).optional(),
  }),
  admission: z.strictObject({ mode: z.enum(['open', 'invite']), admins: z.array(text).max(64).default([]) }),
  limits: z.strictObject({
    /** Largest |x| of any exchanged value: squares of float32's 3e38 would overflow to infinity and poison distances. */
    maxAbs: z.number().positive().max(1e15),
  }),
  weighting: z.enum(['none', 'samples']),
  privacy: z.strictObject({
    mode: z.enum(['none', 'clip-and-noise']),
    clipNorm: z.number().positive().optional(),
    noise: z.number().min(0).optional(),
  }),
  data,
  /** Only in a test task may a process be told to misbehave. */
  testTask: z.boolean(),
})

export type Manifest = z.output<typeof manifestSchema>

/** Text that came from elsewhere, as one short line. */
const printable = (given: string): string => given.replace(/\p{C}/gu, '?').slice(0, 200)

/** Parses and checks manifest bytes. @throws limit-exceeded, task-invalid, task-unsupported */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > LIMITS.manifestBytes) {
    throw new MurmurError('limit-exceeded', `The task manifest has ${bytes.length} bytes; at most ${LIMITS.manifestBytes} are accepted.`)
  }
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new MurmurError('task-invalid', 'The task manifest is not JSON; ask the founder for a new join line.', { cause })
  }
  const version = (json as { version?: unknown } | null)?.version
  if (typeof version === 'number' && version > 1) {
    throw new MurmurError('task-unsupported', `The task is of version ${version}; this program knows version 1. Update Murmuration.`)
  }
  const parsed = manifestSchema.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new MurmurError(
      'task-invalid',
      `The task manifest is invalid at ${printable(issue?.path.join('.') || 'its top')}: ${printable(issue?.message ?? '')}.`,
    )
  }
  return checkManifest(parsed.data)
}

/** The rules that tie fields together. @throws task-invalid, task-unsupported */
export function checkManifest(manifest: Manifest): Manifest {
  const invalid = (message: string) => new MurmurError('task-invalid', message)
  const unsupported = (what: string) =>
    new MurmurError('task-unsupported', `The task asks for ${what}, which this version of Murmuration does not have.`)
  const { stop, pace } = manifest
  if (!stop.never && stop.rounds === undefined && stop.seconds === undefined) {
    throw invalid('The task never ends: set a round limit, a time limit, or "never".')
  }
  if (pace.gatherMinSeconds > pace.gatherMaxSeconds) {
    throw invalid(`The task's gatherMinSeconds (${pace.gatherMinSeconds}) exceeds its gatherMaxSeconds (${pace.gatherMaxSeconds}).`)
  }
  if (new Set(manifest.layout.map((entry) => entry.name)).size !== manifest.layout.length)
    throw invalid("The task's layout names a tensor twice.")
  parseRule(manifest.rule)
  if (manifest.codec !== 'float32') throw unsupported(`codec ${manifest.codec}`)
  if (manifest.weights.codec !== 'float32') throw unsupported(`weights in codec ${manifest.weights.codec}`)
  if (manifest.admission.mode !== 'open') throw unsupported(`admission by ${manifest.admission.mode}`)
  if (manifest.weighting !== 'none') throw unsupported(`weighting by ${manifest.weighting}`)
  if (manifest.privacy.mode !== 'none') throw unsupported(`privacy mode ${manifest.privacy.mode}`)
  return manifest
}

export const encodeManifest = (manifest: Manifest): Uint8Array => new TextEncoder().encode(JSON.stringify(manifest))
