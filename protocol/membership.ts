// Certificates: who is a member, who is one no more, and what lets a newcomer become one. Sealed and opened here; whether the signer
// was allowed to sign is for `standing.ts`.
import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { equals } from 'uint8arrays/equals'
import { type Domain, openEnvelope, type Sign, sealEnvelope, type Verify } from './envelope.ts'
import { isEd25519PublicKey, type PeerId, peerIdOf } from './identity.ts'
import { LIMITS } from './limits.ts'
import type { RejectionCode } from './rejections.ts'
import { InviteSchema, MembershipSchema, RedemptionSchema, RevocationSchema, Role as WireRole } from './wire_pb.ts'

export type Role = 'peer' | 'admin'

type Signer = { publicKey: Uint8Array; sign: Sign }

/** What opening one needs: the task's id, and how signatures are verified. */
export interface CertificateRules {
  task: Uint8Array
  verify: Verify
}

/** Whom it is about, who signed it, and the signed bytes as received. All times are seconds since 1970. */
interface Certified {
  key: Uint8Array
  subject: PeerId
  issuer: PeerId
  envelope: Uint8Array
}

export interface MembershipBody {
  /** The member's libp2p-encoded public key. */
  key: Uint8Array
  role: Role
  issuedAt: number
  /** Missing: never. */
  expiresAt?: number | undefined
  /** Public key of the invite that was redeemed for it. */
  invite?: Uint8Array | undefined
}
export type Membership = MembershipBody & Certified

export interface RevocationBody {
  /** Of the member, or of an invite. */
  key: Uint8Array
  issuedAt: number
}
export type Revocation = RevocationBody & Certified

export interface InviteBody {
  /** The invite's own public key: who holds the other half may become a member. */
  key: Uint8Array
  role: Role
  uses: number
  expiresAt?: number | undefined
  /** How long a membership lasts; missing: for ever. */
  memberSeconds?: number | undefined
}
export type Invite = InviteBody & Certified

export interface RedemptionBody {
  /** Of the peer that is to become a member. */
  key: Uint8Array
  nonce: Uint8Array
}
/** Its `issuer` is the invite's key. */
export type Redemption = RedemptionBody & Certified

export const NONCE_BYTES = 16

export function sealMembership(body: MembershipBody, task: Uint8Array, signer: Signer): Membership {
  const { key, role, issuedAt, expiresAt, invite } = body
  const fields = { task, key, role: wireRole(role), issuedAt: BigInt(issuedAt), expiresAt: BigInt(expiresAt ?? 0) }
  return certified(
    body,
    seal('murmuration-membership', MembershipSchema, { ...fields, invite: invite ?? new Uint8Array() }, signer),
    signer,
  )
}

export function openMembership(envelope: Uint8Array, rules: CertificateRules): Membership | RejectionCode {
  const opened = open('murmuration-membership', MembershipSchema, envelope, rules)
  if (typeof opened === 'string') return opened
  const { key, role, issuedAt, expiresAt, invite } = opened.message
  const times = [secondsOf(issuedAt), secondsOf(expiresAt)] as const
  if (roleOf(role) === undefined || times[0] === undefined || times[1] === undefined) return 'malformed'
  if (invite.length > 0 && !isEd25519PublicKey(invite)) return 'malformed'
  return {
    ...{ key, subject: peerIdOf(key), issuer: opened.issuer, envelope },
    ...{ role: roleOf(role)!, issuedAt: times[0], expiresAt: times[1] === 0 ? undefined : times[1] },
    invite: invite.length > 0 ? invite : undefined,
  }
}

export function sealRevocation(body: RevocationBody, task: Uint8Array, signer: Signer): Revocation {
  const fields = { task, key: body.key, issuedAt: BigInt(body.issuedAt) }
  return certified(body, seal('murmuration-revocation', RevocationSchema, fields, signer), signer)
}

export function openRevocation(envelope: Uint8Array, rules: CertificateRules): Revocation | RejectionCode {
  const opened = open('murmuration-revocation', RevocationSchema, envelope, rules)
  if (typeof opened === 'string') return opened
  const { key } = opened.message
  const issuedAt = secondsOf(opened.message.issuedAt)
  return issuedAt === undefined ? 'malformed' : { key, subject: peerIdOf(key), issuer: opened.issuer, envelope, issuedAt }
}

export function sealInvite(body: InviteBody, task: Uint8Array, signer: Signer): Invite {
  const { key, role, uses, expiresAt, memberSeconds } = body
  const fields = { task, key, role: wireRole(role), uses, expiresAt: BigInt(expiresAt ?? 0), memberSeconds: BigInt(memberSeconds ?? 0) }
  return certified(body, seal('murmuration-invite', InviteSchema, fields, signer), signer)
}

export function openInvite(envelope: Uint8Array, rules: CertificateRules): Invite | RejectionCode {
  const opened = open('murmuration-invite', InviteSchema, envelope, rules)
  if (typeof opened === 'string') return opened
  const { key, role, uses } = opened.message
  const times = [secondsOf(opened.message.expiresAt), secondsOf(opened.message.memberSeconds)] as const
  if (roleOf(role) === undefined || times[0] === undefined || times[1] === undefined) return 'malformed'
  if (uses < 1 || uses > LIMITS.inviteUses) return 'malformed'
  return {
    ...{ key, subject: peerIdOf(key), issuer: opened.issuer, envelope, role: roleOf(role)!, uses },
    expiresAt: times[0] === 0 ? undefined : times[0],
    memberSeconds: times[1] === 0 ? undefined : times[1],
  }
}

/** `signer` is the invite's own key. */
export function sealRedemption(body: RedemptionBody, task: Uint8Array, signer: Signer): Redemption {
  const { key, nonce } = body
  return certified(body, seal('murmuration-redemption', RedemptionSchema, { task, key, nonce }, signer), signer)
}

export function openRedemption(envelope: Uint8Array, rules: CertificateRules): Redemption | RejectionCode {
  const opened = open('murmuration-redemption', RedemptionSchema, envelope, rules)
  if (typeof opened === 'string') return opened
  const { key, nonce } = opened.message
  if (nonce.length !== NONCE_BYTES) return 'malformed'
  return { key, nonce, subject: peerIdOf(key), issuer: opened.issuer, envelope }
}

const wireRole = (role: Role): WireRole => (role === 'admin' ? WireRole.ADMIN : WireRole.PEER)
/** Undefined for a role that a newer version has: what it may do is unknown here. */
const roleOf = (role: WireRole): Role | undefined => (role === WireRole.ADMIN ? 'admin' : role === WireRole.PEER ? 'peer' : undefined)

/** Times beyond what a number holds exactly are nobody's. */
const secondsOf = (value: bigint): number | undefined => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined)

const seal = <D extends DescMessage>(domain: Domain, schema: D, fields: MessageInitShape<D>, signer: Signer): Uint8Array =>
  sealEnvelope(domain, toBinary(schema, create(schema, fields)), signer)

const certified = <B extends { key: Uint8Array }>(body: B, envelope: Uint8Array, signer: Signer): B & Certified => ({
  ...body,
  subject: peerIdOf(body.key),
  issuer: peerIdOf(signer.publicKey),
  envelope,
})

type Certificate = MessageShape<DescMessage> & { task: Uint8Array; key: Uint8Array }

/** What all kinds have in common: short, signed, of this task, about a key. */
function open<D extends DescMessage>(
  domain: Domain,
  schema: D,
  envelope: Uint8Array,
  { task, verify }: CertificateRules,
): { message: MessageShape<D> & Certificate; issuer: PeerId } | RejectionCode {
  if (envelope.length > LIMITS.recordBytes) return 'too-large'
  const opened = openEnvelope(envelope, domain, verify)
  if (typeof opened === 'string') return opened
  let message: MessageShape<D> & Certificate
  try {
    message = fromBinary(schema, opened.payload) as MessageShape<D> & Certificate
  } catch {
    return 'malformed'
  }
  if (!equals(message.task, task)) return 'wrong-task'
  if (!isEd25519PublicKey(message.key)) return 'malformed'
  return { message, issuer: opened.author }
}
