// Who is a member: signed memberships and revocations, merged as sets, kept for the task's life.
import type { PeerId } from '../../protocol/identity.ts'
import type { RejectionCode } from '../../protocol/rejections.ts'
import type { SignedRecord } from '../../protocol/signed.ts'
import type { PeerEvent } from '../events.ts'

export type Role = 'peer' | 'admin'
export type MemberEvent = Extract<PeerEvent, { type: 'member' }>

export interface MemberBook {
  readonly mode: 'open' | 'invite'
  /** Whether `peer` may take part now: not revoked and, where admission is by invitation, with a membership that counts. */
  isMember(peer: PeerId): boolean
  /** Takes in a signed membership or revocation, from wherever it comes; what is new is stored. */
  take(record: Extract<SignedRecord, { kind: 'membership' | 'revocation' | 'update' | 'addresses' }>): 'new' | 'known' | RejectionCode
  /** The signed membership of a member, which rides along with its announcements. */
  membershipOf(peer: PeerId): Uint8Array | undefined
  /** All memberships and revocations held, for the state exchange. */
  records(): SignedRecord[]
  /** Those whom a membership names and nobody has revoked; empty where admission is open. */
  members(): { peer: PeerId; role: Role; expiresAt?: number }[]
  /** Tells of everyone who becomes, or is no longer, a member; returns a function that ends it. */
  subscribe(listener: (event: MemberEvent) => void): () => void
}
