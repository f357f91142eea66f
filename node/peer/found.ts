// Founding a network: a model, how to train and average it, and what data it takes become a signed task.
import { codecOf } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { exchangedSize, type Layout, layoutSize } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { checkManifest, type Manifest, manifestSchema } from '../../protocol/manifest.ts'
import { type Hash, payloadRoot } from '../../protocol/payload.ts'
import { hexOf, sealTask, type Task } from '../../protocol/task.ts'
import type { Selection } from '../data/spec.ts'
import { agree, learningOf, lossOf, optimizerOf, readModelFile } from '../learning.ts'
import type { TaskOptions } from '../options.ts'
import type { Random, Signer } from '../ports.ts'
import { encodePayload, type PayloadRules } from '../train/encoding.ts'

/** Basis points in a whole. */
const BASIS = 10_000
/** Largest value that is taken from others, unless the codec reaches less far: weights of models that still learn are far below. */
const MAX_ABS = 1e6

/** The smallest that costs no more than 0.2 points of accuracy, see docs/codecs.md. */
const defaultCodec = (layout: Layout): Manifest['codec'] => (layoutSize(layout, 'stats') > 0 ? 'float16' : 'int8')

export interface Founded {
  /** The signed task. */
  envelope: Uint8Array
  /** Its model and initial weights, as they are stored and served. */
  objects: { hash: string; bytes: Uint8Array }[]
}

/** Makes a task; nothing is stored yet. @throws model-invalid, operator-unsupported, task-invalid, bad-argument */
export async function foundTask(
  options: TaskOptions,
  data: { data: string } & Selection,
  parts: { signer: Signer; random: Random; hash: Hash },
): Promise<Founded> {
  const { graph, layout, params, schema } = await agree(await readModelFile(options.model, options.seed), data, options)
  const codec = codecOf(options.codec ?? defaultCodec(layout))
  const maxAbs = Math.min(MAX_ABS, codec.largest)
  checkWeights(params, layout, { codec: codec.name, maxAbs })
  const weights = codecOf('float32').encode(params)
  const reference = (bytes: Uint8Array) => ({ hash: hexOf(payloadRoot(bytes, parts.hash)), length: bytes.length })
  const manifest: Manifest = checkManifest(
    manifestSchema.parse({
      version: 1,
      name: options.name,
      nonce: hexOf(parts.random.bytes(32)),
      model: { ...reference(graph), codec: 'onnx', name: options.model.slice(-LIMITS.nameLength) },
      weights: { ...reference(weights), codec: 'float32' },
      layout: layout.map(({ name, shape, segment }) => ({ name, shape: [...shape], segment })),
      loss: lossOf(options),
      optimizer: optimizerOf(options, options.rounds * options.steps),
      work: { batchSize: options.batchSize, steps: options.steps, ...(options.roundSeconds && { roundSeconds: options.roundSeconds }) },
      rule: options.rule,
      byzantineShare: Math.round(options.byzantineShare * BASIS),
      codec: codec.name,
      pace: {
        minPeers: options.minPeers,
        staleness: 2,
        gatherMinSeconds: options.gatherMinSeconds,
        gatherMaxSeconds: options.gatherMaxSeconds,
        absentAfterSeconds: 3600,
      },
      stop: { rounds: options.rounds, ...(options.targetAccuracy !== undefined && { targetAccuracy: options.targetAccuracy }) },
      admission: { mode: options.admission },
      limits: { maxAbs },
      weighting: 'none',
      privacy: { mode: 'none' },
      data: schema,
      testTask: options.testTask,
    }),
  )
  return {
    envelope: sealTask(manifest, parts.signer),
    objects: [
      { hash: manifest.model.hash, bytes: graph },
      { hash: manifest.weights.hash, bytes: weights },
    ],
  }
}

/** Weights that nobody could announce. @throws model-invalid */
function checkWeights(params: Float32Array, layout: Layout, rules: PayloadRules): void {
  const { decoded } = encodePayload(params.subarray(0, exchangedSize(layout)), rules)
  if ('values' in decoded) return
  const what = decoded.rejected === 'not-finite' ? 'a number that is not finite' : `a value above ${rules.maxAbs}`
  throw new MurmurError('model-invalid', `The model's weights hold ${what}, which others would refuse in an update (codec ${rules.codec}).`)
}

/** The founding options that a task shows; what a repeated command gives is held against them. */
export function optionsOf({ manifest }: Task): Partial<TaskOptions> {
  const { pace, stop, work } = manifest
  return {
    name: manifest.name,
    model: manifest.model.name,
    rule: manifest.rule,
    codec: manifest.codec,
    admission: manifest.admission.mode,
    byzantineShare: manifest.byzantineShare / BASIS,
    minPeers: pace.minPeers,
    rounds: stop.rounds,
    targetAccuracy: stop.targetAccuracy,
    steps: work.steps,
    roundSeconds: work.roundSeconds,
    ...learningOf(manifest),
    gatherMinSeconds: pace.gatherMinSeconds,
    gatherMaxSeconds: pace.gatherMaxSeconds,
    testTask: manifest.testTask,
  } as Partial<TaskOptions>
}
