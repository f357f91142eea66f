// Where a peer's task comes from: its directory, the founding of a network, or the network that is joined. And the model with it.
import { join } from 'node:path'
import { exportModel, loadModel } from '../../models/index.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import type { Verify } from '../../protocol/envelope.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { Proof } from '../../protocol/join.ts'
import { layoutSize, sameLayout } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { admissionInWords } from '../../protocol/manifest.ts'
import type { Hash, PayloadRef } from '../../protocol/payload.ts'
import { promise } from '../../protocol/sampling.ts'
import { openTask, type Task } from '../../protocol/task.ts'
import { dataOf, localOptions, parseOptions, pick, type TaskOptions, taskOptions } from '../options.ts'
import type { Network, Random, Store } from '../ports.ts'
import { loadOrCreateIdentity } from '../store/identity.ts'
import { readTask } from './directory.ts'
import { fetchTask } from './fetch-task.ts'
import { type Founded, foundTask, optionsOf } from './found.ts'
import type { JoinTarget } from './join-target.ts'

export interface TaskSource {
  dir: string
  /** The founding options as they were given, where the command may found a network. */
  found?: Record<string, unknown>
  join?: JoinTarget
  /** Asked once the task of a network to join is known, before anything of it runs; false: leave. */
  confirm: (task: Task) => Promise<boolean>
  onProgress: (text: string) => void
  signal: AbortSignal
}

interface Parts {
  network: Network
  random: Random
  hash: Hash
  verify: Verify
}

export interface ObtainedTask {
  task: Task
  /** True where the directory does not hold it yet. */
  isNew: boolean
  /** Of a network that is being founded: what the store must hold. */
  objects: Founded['objects']
}

/**
 * @param proof what is shown to those who tell the task only to the invited
 * @param reached who answered of the bootstrap addresses, growing; `contact` resolves with the first
 * @throws task-mismatch, bad-argument where a repeated command asks for another task, directory-invalid, and what founding or fetching throws
 */
export async function obtainTask(
  source: TaskSource,
  proof: Proof,
  reached: readonly PeerId[],
  contact: Promise<unknown>,
  parts: Parts,
): Promise<ObtainedTask> {
  const { dir, found, join: target, onProgress, signal } = source
  const { verify, hash } = parts
  const stored = await readTask(dir)
  if (stored !== undefined) {
    const task = openTask(stored, { verify, hash, ...(target?.task && { expected: target.task }) })
    if (found !== undefined) checkUnchanged(task, found, dir)
    return { task, isNew: false, objects: [] }
  }
  if (found !== undefined) {
    const options: TaskOptions = parseOptions(taskOptions, pick(taskOptions, found))
    onProgress(`Founding the network "${options.name}" ...`)
    const data = dataOf(parseOptions(localOptions, pick(localOptions, found)))
    const { signer: founder } = await loadOrCreateIdentity(dir, 'founder.key')
    const { envelope, objects } = await foundTask(options, data, { ...parts, signer: founder })
    const task = openTask(envelope, { verify, hash })
    onProgress(promise(options.minPeers, task.manifest.byzantineShare).sentence)
    onProgress(admissionInWords(task.manifest))
    onProgress(
      `The network is signed with ${join(dir, 'founder.key')}: keep a copy elsewhere. Whoever has it can name and remove members; nothing else needs it to stay here.`,
    )
    return { task, isNew: true, objects }
  }
  if (target === undefined) {
    throw new MurmurError(
      'directory-invalid',
      `${dir} holds no peer yet: found a network there with \`murmur start\` or join one with \`murmur join\`.`,
    )
  }
  onProgress(`Looking for the network at ${target.addresses[0]} ...`)
  await contact
  const task = await fetchTask(target, proof, reached, { ...parts, signal, onProgress })
  if (!(await source.confirm(task))) throw new MurmurError('cancelled', 'Not joined; nothing was sent.')
  return { task, isNew: true, objects: [] }
}

/** The same command again is a restart; one that asks for something else is a mistake. */
function checkUnchanged(task: Task, found: Record<string, unknown>, dir: string): void {
  const given = pick(taskOptions, found)
  const wanted = parseOptions(taskOptions, given) as Record<string, unknown>
  const agreed = optionsOf(task) as Record<string, unknown>
  for (const name of Object.keys(given)) {
    if (name in agreed && JSON.stringify(agreed[name]) !== JSON.stringify(wanted[name])) {
      throw new MurmurError(
        'bad-argument',
        `${dir} already belongs to a network whose ${name} is ${JSON.stringify(agreed[name])}, which cannot become ${JSON.stringify(wanted[name])}; found another network in a new directory.`,
      )
    }
  }
}

export interface TaskModel {
  /** Hollow ONNX graph. */
  graph: Uint8Array
  initial: Float32Array
  /** An ordinary ONNX model with these parameters. */
  exported(params: Float32Array): Uint8Array
}

/** The task's model and initial weights, pulled where the store does not have them, and checked against the layout that was signed. */
export async function obtainModel(
  task: Task,
  store: Pick<Store, 'getObject'>,
  pull: (ref: PayloadRef) => Promise<Uint8Array>,
  onProgress: (text: string) => void,
): Promise<TaskModel> {
  const { model, weights, limits } = task.manifest
  if (model.length > LIMITS.modelBytes) {
    throw new MurmurError('limit-exceeded', `The task's model has ${model.length} bytes; at most ${LIMITS.modelBytes} are accepted.`)
  }
  const codec = codecOf(weights.codec)
  const size = layoutSize(task.layout)
  if (weights.length !== codec.encodedLength(size)) {
    throw new MurmurError(
      'task-invalid',
      `The task's weights have ${weights.length} bytes, but its ${size} parameters take ${codec.encodedLength(size)}.`,
    )
  }
  const get = async (what: string, { hash: hex, length, codec }: { hash: string; length: number; codec: string }) => {
    const held = await store.getObject(hex)
    if (held !== undefined) return held
    onProgress(`Fetching ${what}, ${(length / 1e3).toFixed(0)} kB ...`)
    return pull({ hash: Buffer.from(hex, 'hex'), length, codec })
  }
  const graph = await get('the model', model)
  if (!sameLayout(loadModel(graph).layout, task.layout)) {
    throw new MurmurError('task-invalid', "The task's model does not have the parameters that its manifest lists; ask the founder.")
  }
  const decoded = codec.decode(await get('the initial weights', weights), size, limits.maxAbs)
  if ('rejected' in decoded)
    throw new MurmurError('task-invalid', `The task's initial weights are unusable (${decoded.rejected}); ask the founder.`)
  return { graph, initial: Float32Array.from(decoded.values), exported: (params) => exportModel(graph, task.layout, params) }
}
