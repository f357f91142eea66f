// Checkpoints: the model and its optimizer state after each step of a round, newest only. Each file carries the hash of its own
// tensors, so it can be told whole without `checkpoint.json`, which is written last and names the newest.
import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MurmurError } from '../../protocol/errors.ts'
import { type Layout, layoutSize, sizeOf } from '../../protocol/layout.ts'
import type { Checkpoint } from '../ports.ts'
import { guarded, readIfPresent, writeDurable } from './files.ts'
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from './safetensors.ts'

export interface Checkpoints {
  /** `checkpoint`'s arrays must not change until this resolves. @throws disk-failed */
  save(checkpoint: Checkpoint): Promise<void>
  /** The newest whole one. @throws directory-invalid where there are some but none is usable, disk-failed */
  load(): Promise<Checkpoint | undefined>
}

interface CheckpointOptions {
  layout: Layout
  /** Floats of optimizer state, where known; a checkpoint holds these or none. */
  optimizerSize?: number
  onWarning: (message: string) => void
}

const MANIFEST = 'checkpoint.json'
const FILE = /^checkpoint-(\d+)-(trained|aggregated)\.safetensors$/
/** Bytes hashed before others get the event loop: about half a millisecond. */
const HASH_PIECE = 1024 * 1024

export function openCheckpoints(dir: string, { layout, optimizerSize, onWarning }: CheckpointOptions): Checkpoints {
  const size = layoutSize(layout)
  /** A model's tensor may have any name, also this one's. */
  let optimizerName = 'optimizer'
  while (layout.some((entry) => entry.name === optimizerName)) optimizerName += '_'
  const listed = async () => (await guarded(dir, 'read', () => readdir(dir))).filter((name) => FILE.test(name))

  async function save({ round, stage, steps, params, optimizer }: Checkpoint): Promise<void> {
    if (params.length !== size) {
      throw new MurmurError('internal', `A checkpoint of ${params.length} parameters was to be saved for a model of ${size}.`)
    }
    const tensors: NamedTensor[] = layout.map(({ name, shape, offset }) => ({
      name,
      shape,
      data: params.subarray(offset, offset + sizeOf(shape)),
    }))
    tensors.push({ name: optimizerName, shape: [optimizer.length], data: optimizer })
    const sha256 = await hashOf(tensors)
    const file = `checkpoint-${round}-${stage}.safetensors`
    const metadata = { round: String(round), stage, steps: String(steps), sha256 }
    await writeDurable(join(dir, file), encodeSafetensors(tensors, metadata))
    const manifest = JSON.stringify({ round, stage, steps, file, sha256 })
    await writeDurable(join(dir, MANIFEST), new TextEncoder().encode(`${manifest}\n`))
    for (const name of await listed()) {
      if (name !== file) await guarded(join(dir, name), 'removed', () => rm(join(dir, name), { force: true }))
    }
  }

  async function load(): Promise<Checkpoint | undefined> {
    const manifest = await readIfPresent(join(dir, MANIFEST))
    const files = (await listed()).sort((x, y) => ageOf(y) - ageOf(x))
    if (manifest === undefined && files.length === 0) return undefined
    const named = fileNamedBy(manifest)
    // A newer one than the manifest names was never acknowledged, so the named one comes first.
    const order = named === undefined ? files : [named, ...files.filter((file) => file !== named)]
    const failures: string[] = []
    for (const file of order) {
      const checkpoint = await read(file)
      if (typeof checkpoint === 'string') {
        failures.push(checkpoint)
        continue
      }
      if (failures.length > 0) onWarning(`${failures[0]} Going on from ${file}.`)
      return checkpoint
    }
    const why = failures[0] ?? `${join(dir, MANIFEST)} is damaged and no checkpoint is there.`
    throw new MurmurError('directory-invalid', `${why} Restore the directory from a backup, or join anew in an empty one.`)
  }

  /** A checkpoint, or one sentence on what is wrong with it. */
  async function read(file: string): Promise<Checkpoint | string> {
    const path = join(dir, file)
    const bytes = await readIfPresent(path)
    if (bytes === undefined) return `${path} is missing.`
    try {
      const { metadata, tensors } = decodeSafetensors(bytes, path)
      const optimizer = tensors.get(optimizerName)
      const [round, steps] = [Number(metadata.round), Number(metadata.steps)]
      const { stage } = metadata
      if (!Number.isSafeInteger(round) || !Number.isSafeInteger(steps) || (stage !== 'trained' && stage !== 'aggregated')) {
        return `${path} does not say which round it is of.`
      }
      if (optimizer === undefined || tensors.size !== layout.length + 1) return `${path} does not hold this task's tensors.`
      if (optimizerSize !== undefined && optimizer.data.length !== 0 && optimizer.data.length !== optimizerSize) {
        return `${path} holds ${optimizer.data.length} values of optimizer state instead of ${optimizerSize}.`
      }
      const params = new Float32Array(size)
      const inOrder: NamedTensor[] = []
      for (const { name, shape, offset } of layout) {
        const tensor = tensors.get(name)
        if (tensor === undefined || tensor.shape.join() !== shape.join()) return `${path} does not hold this task's tensor "${name}".`
        params.set(tensor.data, offset)
        inOrder.push(tensor)
      }
      if ((await hashOf([...inOrder, optimizer])) !== metadata.sha256) return `${path} is damaged: its tensors do not have their hash.`
      // A copy, so that the file's whole buffer is not kept for the optimizer's sake.
      return { round, stage, steps, params, optimizer: optimizer.data.slice() }
    } catch (error) {
      if (error instanceof MurmurError && error.code === 'directory-invalid') return error.message
      throw error
    }
  }

  return { save, load }
}

/** Later rounds are larger; within a round, aggregated is later than trained. */
function ageOf(file: string): number {
  const [, round, stage] = FILE.exec(file) ?? []
  return Number(round) * 2 + (stage === 'aggregated' ? 1 : 0)
}

function fileNamedBy(manifest: Uint8Array | undefined): string | undefined {
  try {
    const { file } = JSON.parse(new TextDecoder().decode(manifest)) as { file?: unknown }
    return typeof file === 'string' && FILE.test(file) ? file : undefined
  } catch {
    return undefined
  }
}

/** SHA-256 over the tensors' floats in order, as hex, letting others run in between: a large model takes a while. */
async function hashOf(tensors: readonly NamedTensor[]): Promise<string> {
  const hash = createHash('sha256')
  let unyielded = 0
  for (const { data } of tensors) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    for (let at = 0; at < bytes.length; at += HASH_PIECE) {
      const piece = bytes.subarray(at, at + HASH_PIECE)
      hash.update(piece)
      unyielded += piece.length
      if (unyielded < HASH_PIECE) continue
      unyielded = 0
      await nextTurn()
    }
  }
  return hash.digest('hex')
}
