// A task as it travels: the founder's signed envelope around the manifest's bytes. Its hash is the network's id.
import { toString as toText } from 'uint8arrays/to-string'
import { openEnvelope, type Sign, sealEnvelope, type Verify } from './envelope.ts'
import { MurmurError } from './errors.ts'
import type { PeerId } from './identity.ts'
import { exchangedSize, type Layout, layoutSize, sizeOf } from './layout.ts'
import { LIMITS } from './limits.ts'
import { encodeManifest, type Manifest, parseManifest } from './manifest.ts'
import type { Hash } from './payload.ts'

export interface Task {
  /** SHA-256 of the manifest's bytes: names the network. */
  id: Uint8Array
  /** The same in hex. */
  hex: string
  founder: PeerId
  manifest: Manifest
  /** The manifest's layout with offsets. */
  layout: Layout
  /** Floats that travel, and how many of them distances see. */
  exchanged: number
  shared: number
  /** The signed envelope, as stored and passed on. */
  envelope: Uint8Array
}

export const hexOf = (bytes: Uint8Array): string => toText(bytes, 'hex')

/** The gossip topic of a task. */
export const topicOf = (task: Task): string => `/murmuration/1/${task.hex}`

export function sealTask(manifest: Manifest, signer: { publicKey: Uint8Array; sign: Sign }): Uint8Array {
  return sealEnvelope('murmuration-task', encodeManifest(manifest), signer)
}

/** Opens a task. @throws task-invalid, task-unsupported, limit-exceeded, and task-mismatch where `expected` (hex) is not its id */
export function openTask(envelope: Uint8Array, options: { verify: Verify; hash: Hash; expected?: string }): Task {
  if (envelope.length > LIMITS.manifestBytes + LIMITS.recordBytes) {
    throw new MurmurError('limit-exceeded', `The signed task has ${envelope.length} bytes; at most ${LIMITS.manifestBytes} are accepted.`)
  }
  const opened = openEnvelope(envelope, 'murmuration-task', options.verify)
  if (typeof opened === 'string') {
    throw new MurmurError('task-invalid', `The task is not signed by its founder (${opened}); ask the founder for a new join line.`)
  }
  const id = options.hash(opened.payload)
  const hex = hexOf(id)
  if (options.expected !== undefined && options.expected !== hex) {
    throw new MurmurError(
      'task-mismatch',
      `The peer offered task ${hex.slice(0, 16)}…, but the join line names ${options.expected.slice(0, 16)}…: it works on another task, or lies. Ask for a new join line.`,
    )
  }
  const manifest = parseManifest(opened.payload)
  const layout = withOffsets(manifest.layout)
  return {
    id,
    hex,
    founder: opened.author,
    manifest,
    layout,
    exchanged: exchangedSize(layout),
    shared: layoutSize(layout, 'shared'),
    envelope,
  }
}

function withOffsets(entries: Manifest['layout']): Layout {
  let offset = 0
  return entries.map((entry) => {
    const placed = { ...entry, offset }
    offset += sizeOf(entry.shape)
    return placed
  })
}
