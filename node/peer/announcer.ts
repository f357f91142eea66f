// A peer's own announcements: encoded, signed and on disk before anyone is told, told again byte for byte after a crash.
import { codecOf, type Decoded, type DecodeFailure } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { encodeAnnouncement, inlineOf } from '../../protocol/gossip.ts'
import { hexOf, topicOf } from '../../protocol/task.ts'
import { openUpdate, sealUpdate, type Update } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
import { encodePayload, type PayloadRules } from '../train/encoding.ts'
import type { PeerParts } from './parts.ts'

export interface Announcer {
  /** The newest own update that is on disk. */
  newest(): Update | undefined
  /**
   * Signs `vector` as the update of `round` and stores it, and with it whatever `alongside` stores. Does nothing for a round that was
   * signed or overtaken: rounds strictly increase. What others would refuse is not signed: the reason is returned. `forged`: it is, in a
   * test task.
   */
  announce(
    update: { round: number; vector: Float32Array; final: boolean; accuracy: number | undefined; forged: boolean },
    alongside?: () => Promise<void>,
  ): Promise<DecodeFailure | undefined>
  /** Tells the topic the newest one. */
  publish(): Promise<void>
  /** What others decode of the update of `round`, where it was announced and passes their gate. */
  vectorOf(round: number): Float32Array | undefined
  /** Loads what a former process signed last. `trained` is its last checkpoint's vector. @throws directory-invalid */
  restore(trained: Float32Array): Promise<Update | undefined>
}

export function createAnnouncer(parts: PeerParts, emit: (event: PeerEvent) => void): Announcer {
  const { task, network, members, store, signer, verify } = parts
  const { manifest } = task
  const rules: PayloadRules = { codec: manifest.codec, maxAbs: manifest.limits.maxAbs }
  /** The newest round whose record was begun to be signed; a jump may overtake one that is still being stored. */
  let signing = 0
  let stored: { update: Update; inline: Uint8Array; decoded: Decoded; told: boolean } | undefined

  const encode = parts.encode ?? (async (vector) => encodePayload(vector.subarray(0, task.exchanged), rules))

  /** The payload of a signed update; where the object is lost, it is made again from the vector it was made of. */
  async function payloadOf(update: Update, trained: Float32Array): Promise<Uint8Array | undefined> {
    const key = hexOf(update.payload.hash)
    const held = await store.getObject(key)
    if (held !== undefined) return held
    const { payload, root } = await encode(trained)
    if (hexOf(root) !== key) return undefined
    await store.putObject(key, payload)
    return payload
  }

  return {
    newest: () => stored?.update,
    async announce({ round, vector, final, accuracy, forged }, alongside) {
      if (round <= signing) return undefined
      const before = signing
      signing = round
      const { payload, root, decoded } = await encode(vector)
      if (signing !== round) return undefined
      if ('rejected' in decoded && !forged) {
        signing = before
        return decoded.rejected
      }
      const ref = { hash: root, length: payload.length, codec: manifest.codec }
      const told = accuracy !== undefined && manifest.stop.targetAccuracy !== undefined ? { accuracy } : {}
      const update = sealUpdate({ round, payload: ref, final, ...told }, task.id, signer)
      await Promise.all([store.putObject(hexOf(root), payload), alongside?.()])
      if (signing !== round) return undefined
      await store.saveAnnouncement(update.envelope)
      // Only now: whoever asks is told what a restart will know too.
      if (round > (stored?.update.round ?? 0)) stored = { update, inline: inlineOf(payload), decoded, told: false }
      return undefined
    },
    async publish() {
      if (stored === undefined) return
      const { update, inline, told } = stored
      stored.told = true
      // Whoever does not know yet that this peer is a member learns it from the announcement itself.
      const membership = members.mode === 'invite' ? members.membershipOf(network.self) : undefined
      const recipients = await network.publish(topicOf(task), encodeAnnouncement(update.envelope, inline, membership))
      emit({ type: 'published', round: update.round, bytes: update.payload.length, recipients, republished: told })
    },
    vectorOf(round) {
      if (stored?.update.round !== round) return undefined
      return 'values' in stored.decoded ? stored.decoded.values : undefined
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
      const decoded = codecOf(rules.codec).decode(payload, task.exchanged, rules.maxAbs)
      stored = { update, inline: inlineOf(payload), decoded, told: true }
      signing = update.round
      return update
    },
  }
}
