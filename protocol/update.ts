// The update record: one peer's signed announcement of its model for one round, and the proof of two different ones.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { equals } from 'uint8arrays/equals'
import { codecOf } from './codec/index.ts'
import { type Proof, readEnvelope, type Sign, sealEnvelope, type Verify } from './envelope.ts'
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

/** What an envelope says is an update, its signature not checked: nothing may follow from it that costs anyone anything. */
export interface UpdateClaim {
  update: Update
  /** Whether length and codec are the task's: where it is signed and they are not, its author is at fault. */
  fits: boolean
  proof: Proof
}

/** Reads one record of this task, but for its signature: what costs most, and may not be needed. */
export function readUpdate(envelope: Uint8Array, rules: Omit<UpdateRules, 'verify'>): UpdateClaim | RejectionCode {
  if (envelope.length > LIMITS.recordBytes) return 'too-large'
  const claim = readEnvelope(envelope, 'murmuration-update')
  if (typeof claim === 'string') return claim
  let message: ReturnType<typeof fromBinary<typeof UpdateSchema>>
  try {
    message = fromBinary(UpdateSchema, claim.payload)
  } catch {
    return 'malformed'
  }
  const { task, round, payload, accuracyMillis, final } = message
  if (!equals(task, rules.task)) return 'wrong-task'
  if (round < 1 || payload === undefined || payload.hash.length !== HASH_BYTES || accuracyMillis > 1001) return 'malformed'
  const update = {
    author: claim.author,
    envelope,
    signed: claim.payload,
    round,
    payload: { hash: payload.hash, length: Number(payload.length), codec: payload.codec },
    ...(accuracyMillis > 0 && { accuracy: (accuracyMillis - 1) / 1000 }),
    final,
  }
  const fits = payload.codec === rules.codec && payload.length === BigInt(codecOf(rules.codec).encodedLength(rules.length))
  return { update, fits, proof: claim.proof }
}

/** The update, once it is known whether it is signed by whom it names. */
export function settleUpdate({ update, fits }: UpdateClaim, isSigned: boolean): Update | RejectionCode {
  if (!isSigned) return 'bad-signature'
  return fits ? update : 'bad-ref'
}

/** Opens and checks one signed record of this task. */
export function openUpdate(envelope: Uint8Array, rules: UpdateRules): Update | RejectionCode {
  const claim = readUpdate(envelope, rules)
  return typeof claim === 'string' ? claim : settleUpdate(claim, rules.verify(...claim.proof))
}

export const sameUpdate = (a: Update, b: Update): boolean => equals(a.signed, b.signed)

/** A payload that came beside its record is taken only with the signed hash. */
export const inlineFits = (update: Update, inline: Uint8Array, hash: Hash): boolean =>
  inline.length === update.payload.length && equals(payloadRoot(inline, hash), update.payload.hash)

/** The two updates of one author for one round, where they do prove equivocation. */
export function openEvidence(first: Uint8Array, second: Uint8Array, rules: UpdateRules): [Update, Update] | RejectionCode {
  const [a, b] = [readUpdate(first, rules), readUpdate(second, rules)]
  if (typeof a === 'string' || typeof b === 'string' || !a.fits || !b.fits) return 'bad-evidence'
  const contradict = a.update.author === b.update.author && a.update.round === b.update.round && !sameUpdate(a.update, b.update)
  return contradict && [a, b].every(({ proof }) => rules.verify(...proof)) ? [a.update, b.update] : 'bad-evidence'
}
