// How a newcomer learns of the task and becomes a member: requests, answers, and the reasons for which it is refused.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { decodeBounded } from './decoding.ts'
import type { ErrorCode } from './errors.ts'
import { LIMITS } from './limits.ts'
import { encodeSigned, recordIn, type SignedRecord, signedMessage } from './signed.ts'
import { JoinRequestSchema, JoinResponseSchema, TaskRequestSchema, TaskResponseSchema } from './wire_pb.ts'

/** What a newer version has added is of no use here, and costs memory. */
const STRICT = { readUnknownFields: false }
/** Certificates in a roster: more than fit, at 200 bytes each, into an answer. */
const ROSTER = 4 * LIMITS.members

/** Both also for those who are not members. */
export const TASK_PROTOCOL = '/murmuration/task/1'
export const JOIN_PROTOCOL = '/murmuration/join/1'

/** What a stranger shows, as signed envelopes; empty where it has none. */
export interface Proof {
  invite: Uint8Array
  redemption: Uint8Array
  membership: Uint8Array
}

export const NO_PROOF: Proof = { invite: new Uint8Array(), redemption: new Uint8Array(), membership: new Uint8Array() }

/**
 * The text that a refusal begins with, whether asking again may help, and what it is for the person who joins. A peer that is refused
 * for good by one may still be let in by another: it takes only all of them at their word.
 */
export const REFUSALS = {
  'no-invite': { text: 'this network admits by invitation', final: true, code: 'not-admitted' },
  'bad-invite': { text: 'the invite or membership is none of this network', final: true, code: 'not-admitted' },
  'unknown-issuer': { text: 'the invite is signed by nobody who may invite', final: true, code: 'not-admitted' },
  'taken-back': { text: 'the membership was taken back', final: true, code: 'not-admitted' },
  expired: { text: 'the membership has ended', final: true, code: 'not-admitted' },
  spent: { text: 'the invite is used up', final: true, code: 'invite-spent' },
  'invite-revoked': { text: 'the invite was revoked', final: true, code: 'invite-spent' },
  'invite-expired': { text: 'the invite has expired', final: true, code: 'invite-spent' },
  away: { text: 'the issuer of the invite is not reachable now', final: false, code: 'peer-unreachable' },
  full: { text: 'the network has as many members as it can have', final: false, code: 'not-admitted' },
} as const satisfies Record<string, { text: string; final: boolean; code: ErrorCode }>

export type Refusal = keyof typeof REFUSALS

/** The reason that a refusal's text gives. */
export const refusalIn = (message: string): Refusal | undefined =>
  (Object.keys(REFUSALS) as Refusal[]).find((name) => message.startsWith(REFUSALS[name].text))

export const encodeTaskRequest = (proof: Proof): Uint8Array => toBinary(TaskRequestSchema, create(TaskRequestSchema, proof))

export function decodeTaskRequest(bytes: Uint8Array): Proof | 'malformed' {
  try {
    const { invite, redemption, membership } = fromBinary(TaskRequestSchema, bytes, STRICT)
    return { invite, redemption, membership }
  } catch {
    return 'malformed'
  }
}

export const encodeTaskResponse = (manifest: Uint8Array): Uint8Array =>
  toBinary(TaskResponseSchema, create(TaskResponseSchema, { manifest }))

/** The signed task, unopened. */
export function decodeTaskResponse(bytes: Uint8Array): Uint8Array | 'malformed' {
  try {
    return fromBinary(TaskResponseSchema, bytes, STRICT).manifest
  } catch {
    return 'malformed'
  }
}

export const encodeJoinRequest = (task: Uint8Array, proof: Proof): Uint8Array =>
  toBinary(JoinRequestSchema, create(JoinRequestSchema, { task, ...proof }))

export function decodeJoinRequest(bytes: Uint8Array): ({ task: Uint8Array } & Proof) | 'malformed' {
  try {
    const { task, invite, redemption, membership } = fromBinary(JoinRequestSchema, bytes, STRICT)
    return { task, invite, redemption, membership }
  } catch {
    return 'malformed'
  }
}

/** `membership` is empty where the asking peer has none; `roster` is in an order in which each can be believed after those before it. */
export interface JoinAnswer {
  membership: Uint8Array
  roster: SignedRecord[]
  round: number
}

/** As much of the roster as an answer may hold; the state exchange brings the rest. */
export function encodeJoinResponse({ membership, roster, round }: JoinAnswer): Uint8Array {
  let left = LIMITS.responseBytes - 2 * LIMITS.recordBytes
  const fitting = roster.filter((record) => {
    // A field's tag and length beside the record itself.
    left -= encodeSigned(record).length + 8
    return left >= 0
  })
  return toBinary(JoinResponseSchema, create(JoinResponseSchema, { membership, roster: fitting.map(signedMessage), round }))
}

export function decodeJoinResponse(bytes: Uint8Array): JoinAnswer | 'malformed' {
  const answer = decodeBounded(JoinResponseSchema, bytes, ROSTER + 2)
  if (answer === undefined) return 'malformed'
  const { membership, roster, round } = answer
  return { membership: membership.slice(), roster: roster.flatMap((signed) => recordIn(signed) ?? []), round }
}
