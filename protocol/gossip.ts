// What gossip carries: a new update with what may ride beside it, or any other signed record on its own.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { LIMITS } from './limits.ts'
import type { Hash } from './payload.ts'
import type { RejectionCode } from './rejections.ts'
import type { SignedRecord } from './signed.ts'
import { GossipSchema } from './wire_pb.ts'

export type GossipMessage =
  /** `inline` and `membership` are empty where they do not ride along. */
  | { type: 'announcement'; record: Uint8Array; inline: Uint8Array; membership: Uint8Array }
  | { type: 'evidence'; first: Uint8Array; second: Uint8Array }
  | { type: 'membership' | 'revocation' | 'addresses'; envelope: Uint8Array }

const encode = (body: NonNullable<MessageInitShape<typeof GossipSchema>['body']>): Uint8Array =>
  toBinary(GossipSchema, create(GossipSchema, { body }))

const NONE = new Uint8Array()

/** A payload where it is small enough to ride along; else nothing. */
export const inlineOf = (payload: Uint8Array): Uint8Array => (payload.length <= LIMITS.inlineBytes ? payload : NONE)

/** The announcement as gossip carries it: the payload rides along where it is small, the author's membership where one is needed. */
export function encodeAnnouncement(record: Uint8Array, payload: Uint8Array, membership: Uint8Array = NONE): Uint8Array {
  return encode({ case: 'announcement', value: { record, inline: inlineOf(payload), membership } })
}

/** A record that is gossiped on its own. */
export type LoneRecord = Exclude<SignedRecord, { kind: 'update' }>

export function encodeRecord(record: LoneRecord): Uint8Array {
  if (record.kind === 'evidence') return encode({ case: 'evidence', value: { first: record.first, second: record.second } })
  return encode({ case: record.kind, value: record.envelope })
}

export const encodeEvidence = (first: Uint8Array, second: Uint8Array): Uint8Array => encodeRecord({ kind: 'evidence', first, second })

export function decodeGossip(bytes: Uint8Array): GossipMessage | RejectionCode {
  if (bytes.length > LIMITS.gossipBytes) return 'too-large'
  try {
    const { body } = fromBinary(GossipSchema, bytes)
    // Copies: what is kept must not hold on to the whole frame it came in.
    switch (body.case) {
      case 'announcement': {
        const { record, inline, membership } = body.value
        return { type: body.case, record: record.slice(), inline: inline.slice(), membership: membership.slice() }
      }
      case 'evidence':
        return { type: body.case, first: body.value.first.slice(), second: body.value.second.slice() }
      case undefined:
        return 'wrong-version'
      default:
        return { type: body.case, envelope: body.value.slice() }
    }
  } catch {
    return 'malformed'
  }
}

/** What gossip tells duplicates by: the hash of the signed update, whatever rides beside it; of anything else, the hash of the message. */
export function gossipId(bytes: Uint8Array, hash: Hash, message: GossipMessage | RejectionCode = decodeGossip(bytes)): Uint8Array {
  return hash(typeof message === 'object' && message.type === 'announcement' ? message.record : bytes)
}
