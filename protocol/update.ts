// The update record: one peer's signed announcement of its model for one round, and the proof of two different ones.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { equals } from 'uint8arrays/equals'
import { codecOf } from './codec/index.ts'
import { openEnvelope, type Sign, sealEnvelope, type Verify } from './envelope.ts'
import type { PeerId } from './identity.ts'
import { LIMITS } from './limits.ts'
import { HASH_BYTES, type Hash, type PayloadRef, payloadRoot } from './payload.ts'
import type { RejectionCode } from './rejections.ts'
import { UpdateSchema } from './wire_pb.ts'

export interface UpdateBody {
  round: number
  payload: PayloadRef
  /** Own validation accuracy of the model the round began with, 0..1 in thousandths. */
  accuracy?: number
  /** The author has finished; the record does not age. */
  final: boolean
}

/** An update whose signature, task, codec and length have been checked. */
export interface Update extends UpdateBody {
  author: PeerId
  /** The envelope as received: what is stored, passed on and republished. */
  envelope: Uint8Array
  /** The signed bytes inside it: two that differ for one round are proof of equivocation. */
  signed: Uint8Array
}

/** What a task says about the updates that belong to it. */
export interface UpdateRules {
  /** SHA-256 of the manifest. */
  task: Uint8Array
  codec: string
  /** Floats exchanged: shared and stats segments. */
  length: number
  verify: Verify
}

export function sealUpdate(body: UpdateBody, task: Uint8Array, signer: { peerId: PeerId; publicKey: Uint8Array; sign: Sign }): Update {
  const signed = toBinary(
    UpdateSchema,
    create(UpdateSchema, {
      task,
      round: body.round,
      payload: { hash: body.payload.hash, length: BigInt(body.payload.length), codec: body.payload.codec },
      accuracyMillis: body.accuracy === undefined ? 0 : Math.floor(body.accuracy * 1000) + 1,
      final: body.final,
    }),
  )
  return { ...body, author: signer.peerId, signed, envelope: sealEnvelope('murmuration-update', signed, signer) }
}

/** Opens and checks one signed record of this task. */
export function openUpdate(envelope: Uint8Array, rules: UpdateRules): Update | RejectionCode {
  if (envelope.length > LIMITS.recordBytes) return 'too-large'
  const opened = openEnvelope(envelope, 'murmuration-update', rules.verify)
  if (typeof opened === 'string') return opened
  let message: ReturnType<typeof fromBinary<typeof UpdateSchema>>
  try {
    message = fromBinary(UpdateSchema, opened.payload)
  } catch {
    return 'malformed'
  }
  const { task, round, payload, accuracyMillis, final } = message
  if (!equals(task, rules.task)) return 'wrong-task'
  if (round < 1 || payload === undefined || payload.hash.length !== HASH_BYTES || accuracyMillis > 1001) return 'malformed'
  if (payload.codec !== rules.codec || payload.length !== BigInt(codecOf(rules.codec).encodedLength(rules.length))) return 'bad-ref'
  return {
    author: opened.author,
    envelope,
    signed: opened.payload,
    round,
    payload: { hash: payload.hash, length: Number(payload.length), codec: payload.codec },
    ...(accuracyMillis > 0 && { accuracy: (accuracyMillis - 1) / 1000 }),
    final,
  }
}

export const sameUpdate = (a: Update, b: Update): boolean => equals(a.signed, b.signed)

/** A payload that came beside its record is taken only with the signed hash. */
export const inlineFits = (update: Update, inline: Uint8Array, hash: Hash): boolean =>
  inline.length === update.payload.length && equals(payloadRoot(inline, hash), update.payload.hash)

/** The two updates of one author for one round, where they do prove equivocation. */
export function openEvidence(first: Uint8Array, second: Uint8Array, rules: UpdateRules): [Update, Update] | RejectionCode {
  const [a, b] = [openUpdate(first, rules), openUpdate(second, rules)]
  if (typeof a === 'string' || typeof b === 'string') return 'bad-evidence'
  return a.author === b.author && a.round === b.round && !sameUpdate(a, b) ? [a, b] : 'bad-evidence'
}
