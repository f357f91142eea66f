// The task manifest, version 1: everything all peers of a network must agree on. The SHA-256 of its bytes is the network's id.
// It travels as JSON inside the founder's signed envelope; what is hashed is the bytes received, never a re-encoding.
import { z } from 'zod'
import { parseRule } from './aggregation/index.ts'
import { codecOf } from './codec/index.ts'
import { MurmurError } from './errors.ts'
import { LIMITS } from './limits.ts'

const hex32 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lowercase hex digits')
/** Text that people are shown: no control characters, which could rewrite a terminal. */
const text = z
  .string()
  .min(1)
  .max(LIMITS.nameLength)
  .regex(/^\P{C}+$/u, 'must not hold control characters')
const peerId = z.string().regex(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/, 'must be the id of an Ed25519 key')
const count = z.int().min(1)
const seconds = z.number().positive().max(31_536_000)
const share = z.number().min(0).max(1)
const dims = z.array(z.int().min(1)).max(LIMITS.tensorRank)

const payload = z.strictObject({ hash: hex32, length: z.int().min(0).max(LIMITS.payloadBytes), codec: text })

/** In this order in the layout. */
const SEGMENTS = ['shared', 'stats', 'personal'] as const

const layout = z
  .array(z.strictObject({ name: z.string().max(LIMITS.nameLength), shape: dims, segment: z.enum(SEGMENTS) }))
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
  admission: z.strictObject({ mode: z.enum(['open', 'invite']), admins: z.array(peerId).max(64).default([]) }),
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
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
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
  const places = manifest.layout.map(({ segment }) => SEGMENTS.indexOf(segment))
  if (places.some((place, i) => place < (places[i - 1] ?? 0))) {
    // What travels is the beginning of the vector.
    throw invalid("The task's layout must list shared tensors first, then statistics, then personal ones.")
  }
  parseRule(manifest.rule)
  // A variance is rounded by the largest value of its block, and one that becomes 0 is divided by.
  if (manifest.codec === 'int8' && manifest.layout.some(({ segment }) => segment === 'stats')) {
    throw invalid("The task's codec int8 is too coarse for the running statistics of BatchNormalization; use float16 or float32.")
  }
  const { largest } = codecOf(manifest.codec)
  if (manifest.limits.maxAbs > largest) {
    throw invalid(`The task's maxAbs (${manifest.limits.maxAbs}) is more than its codec ${manifest.codec} can carry: at most ${largest}.`)
  }
  if (manifest.weights.codec !== 'float32') throw unsupported(`weights in codec ${manifest.weights.codec}`)
  const parameters = manifest.layout.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)
  if (manifest.weights.length !== 4 * parameters) {
    throw invalid(
      `The task's weights have ${manifest.weights.length} bytes, but its layout's ${parameters} parameters take ${4 * parameters}.`,
    )
  }
  if (manifest.weighting !== 'none') throw unsupported(`weighting by ${manifest.weighting}`)
  if (manifest.privacy.mode !== 'none') throw unsupported(`privacy mode ${manifest.privacy.mode}`)
  return manifest
}

export const encodeManifest = (manifest: Manifest): Uint8Array => new TextEncoder().encode(JSON.stringify(manifest))

/** Who may take part, for people to read. */
export const admissionInWords = ({ admission }: Manifest): string =>
  admission.mode === 'invite'
    ? 'Admission is by invitation: those take part whom the founder or an admin has let in, and nobody else.'
    : 'Admission is open: anyone who has the join line may take part, so no promise holds against someone who joins many times.'
