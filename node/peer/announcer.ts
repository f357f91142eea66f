// A peer's own announcements: encoded, signed and on disk before anyone is told, told again byte for byte after a crash.
import { codecOf } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { encodeAnnouncement } from '../../protocol/gossip.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { hexOf, topicOf } from '../../protocol/task.ts'
import { openUpdate, sealUpdate, type Update } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
import type { PeerParts } from './parts.ts'

export interface Announcer {
  /** The newest own update that is on disk. */
  newest(): Update | undefined
  /**
   * Signs `vector` as the update of `round` and stores it, and with it whatever `alongside` stores. Does nothing for a round that was
   * signed or overtaken: rounds strictly increase.
   */
  announce(
    update: { round: number; vector: Float32Array; final: boolean; accuracy: number | undefined },
    alongside?: () => Promise<void>,
  ): Promise<void>
  /** Tells the topic the newest one. */
  publish(): Promise<void>
  /** What others decode of the update of `round`, where it was announced and passes their gate. */
  vectorOf(round: number): Float32Array | undefined
  /** Loads what a former process signed last. `trained` is its last checkpoint's vector. @throws directory-invalid */
  restore(trained: Float32Array): Promise<Update | undefined>
}

export function createAnnouncer(parts: PeerParts, emit: (event: PeerEvent) => void): Announcer {
  const { task, network, members, store, hash, signer, verify } = parts
  const { manifest } = task
  const codec = codecOf(manifest.codec)
  /** The newest round whose record was begun to be signed; a jump may overtake one that is still being stored. */
  let signing = 0
  let stored: { update: Update; payload: Uint8Array; told: boolean } | undefined

  function encode(vector: Float32Array): { payload: Uint8Array; root: Uint8Array } {
    const payload = codec.encode(vector.subarray(0, task.exchanged))
    return { payload, root: payloadRoot(payload, hash) }
  }

  /** The payload of a signed update; where the object is lost, it is made again from the vector it was made of. */
  async function payloadOf(update: Update, trained: Float32Array): Promise<Uint8Array | undefined> {
    const key = hexOf(update.payload.hash)
    const held = await store.getObject(key)
    if (held !== undefined) return held
    const { payload, root } = encode(trained)
    if (hexOf(root) !== key) return undefined
    await store.putObject(key, payload)
    return payload
  }

  return {
    newest: () => stored?.update,
    async announce({ round, vector, final, accuracy }, alongside) {
      if (round <= signing) return
      signing = round
      const { payload, root } = encode(vector)
      const ref = { hash: root, length: payload.length, codec: manifest.codec }
      const told = accuracy !== undefined && manifest.stop.targetAccuracy !== undefined ? { accuracy } : {}
      const update = sealUpdate({ round, payload: ref, final, ...told }, task.id, signer)
      await Promise.all([store.putObject(hexOf(root), payload), alongside?.()])
      if (signing !== round) return
      await store.saveAnnouncement(update.envelope)
      // Only now: whoever asks is told what a restart will know too.
      if (round > (stored?.update.round ?? 0)) stored = { update, payload, told: false }
    },
    async publish() {
      if (stored === undefined) return
      const { update, payload, told } = stored
      stored.told = true
      // Whoever does not know yet that this peer is a member learns it from the announcement itself.
      const membership = members.mode === 'invite' ? members.membershipOf(network.self) : undefined
      const recipients = await network.publish(topicOf(task), encodeAnnouncement(update.envelope, payload, membership))
      emit({ type: 'published', round: update.round, bytes: payload.length, recipients, republished: told })
    },
    vectorOf(round) {
      if (stored?.update.round !== round) return undefined
      const decoded = codec.decode(stored.payload, task.exchanged, manifest.limits.maxAbs)
      return 'values' in decoded ? decoded.values : undefined
    },
    async restore(trained) {
      const envelope = await store.loadAnnouncement()
      if (envelope === undefined) return undefined
      const update = openUpdate(envelope, { task: task.id, codec: manifest.codec, length: task.exchanged, verify })
      const payload = typeof update === 'object' ? await payloadOf(update, trained) : undefined
      if (typeof update === 'string' || payload === undefined || update.author !== network.self) {
        throw new MurmurError(
          'directory-invalid',
          "The stored announcement is damaged or another peer's; restore the directory or join anew from an empty one.",
        )
      }
      stored = { update, payload, told: true }
      signing = update.round
      return update
    },
  }
}
