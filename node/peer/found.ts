// Founding a network: a model, how to train and average it, and what data it takes become a signed task.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { modelSignature, splitWeights } from '../../models/index.ts'
import { isZooModel, zooModel } from '../../models/zoo/index.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { checkManifest, type Manifest, manifestSchema } from '../../protocol/manifest.ts'
import { type Hash, payloadRoot } from '../../protocol/payload.ts'
import { hexOf, sealTask, type Task } from '../../protocol/task.ts'
import type { TaskOptions } from '../options.ts'
import type { Random, Signer } from '../ports.ts'

/** Basis points in a whole. */
const BASIS = 10_000

export interface Founded {
  /** The signed task. */
  envelope: Uint8Array
  /** Its model and initial weights, as they are stored and served. */
  objects: { hash: string; bytes: Uint8Array }[]
}

/** Makes a task; nothing is stored yet. @throws model-invalid, operator-unsupported, task-invalid, bad-argument */
export async function foundTask(options: TaskOptions, parts: { signer: Signer; random: Random; hash: Hash }): Promise<Founded> {
  const { graph, layout, params } = splitWeights(await modelBytes(options))
  const { inputShape, outputs } = modelSignature(graph)
  const codec = codecOf('float32')
  const weights = codec.encode(params)
  const reference = (bytes: Uint8Array) => ({ hash: hexOf(payloadRoot(bytes, parts.hash)), length: bytes.length })
  const manifest: Manifest = checkManifest(
    manifestSchema.parse({
      version: 1,
      name: options.name,
      nonce: hexOf(parts.random.bytes(32)),
      model: { ...reference(graph), codec: 'onnx', name: options.model.slice(-LIMITS.nameLength) },
      weights: { ...reference(weights), codec: codec.name },
      layout: layout.map(({ name, shape, segment }) => ({ name, shape: [...shape], segment })),
      loss: { kind: 'cross-entropy' },
      optimizer: {
        kind: 'sgd',
        learningRate: options.learningRate,
        momentum: options.momentum,
        schedule: options.schedule,
        scheduleSteps: options.schedule === 'constant' ? 0 : options.scheduleSteps || options.rounds * options.steps,
      },
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
      admission: { mode: 'open' },
      limits: { maxAbs: 1e6 },
      weighting: 'none',
      privacy: { mode: 'none' },
      // Images as IDX files hold them: bytes, which the model sees as 0..1.
      data: { input: { dtype: 'uint8', shape: inputShape, scale: 1 / 255 }, target: { kind: 'class', size: outputs } },
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

/** The founding options that a task shows; what a repeated command gives is held against them. */
export function optionsOf({ manifest }: Task): Partial<TaskOptions> {
  const { pace, stop, work, optimizer } = manifest
  return {
    name: manifest.name,
    model: manifest.model.name,
    rule: manifest.rule,
    byzantineShare: manifest.byzantineShare / BASIS,
    minPeers: pace.minPeers,
    rounds: stop.rounds,
    targetAccuracy: stop.targetAccuracy,
    steps: work.steps,
    roundSeconds: work.roundSeconds,
    batchSize: work.batchSize,
    learningRate: optimizer.learningRate,
    momentum: optimizer.momentum,
    schedule: optimizer.schedule,
    gatherMinSeconds: pace.gatherMinSeconds,
    gatherMaxSeconds: pace.gatherMaxSeconds,
    testTask: manifest.testTask,
  } as Partial<TaskOptions>
}

async function modelBytes({ model, seed }: TaskOptions): Promise<Uint8Array> {
  if (isZooModel(model)) return zooModel(model, seed)
  if (!model.endsWith('.onnx')) {
    throw new MurmurError(
      'bad-argument',
      `The model "${model}" is neither one of the built-in ones nor a path to an .onnx file; see \`murmur start --help\`.`,
    )
  }
  try {
    return await readFile(model)
  } catch (cause) {
    throw new MurmurError('model-invalid', `The model ${resolve(model)} cannot be read: ${(cause as NodeJS.ErrnoException).code}.`, {
      cause,
    })
  }
}
