// Who may sign what, and who is a member because of it: a pure function of the certificates held, in whatever order they came.
// The founder signs anything. An admin, whom the founder named, signs memberships of peers, and revokes peers and invites. What an
// admin signed ends with the admin: its memberships when it is revoked or expires, its revocations only when it is revoked.
import type { PeerId } from './identity.ts'
import type { Invite, Membership, Revocation, Role } from './membership.ts'
import type { RejectionCode } from './rejections.ts'

/** Where every chain of certificates begins: the founder, and the admins that the manifest names. */
export interface Root {
  founder: PeerId
  admins: readonly PeerId[]
}

/** Seconds by which clocks may differ: for so long after its end a certificate still counts. */
export const EXPIRY_TOLERANCE = 3600

/** A clock before this says nothing about the present (2026-01-01, in seconds): a machine without a battery wakes up in 1970. */
export const EARLIEST_CLOCK = 1_767_225_600

/** `now` in seconds since 1970; with an absurd clock nothing ends. */
export const hasEnded = (expiresAt: number | undefined, now: number): boolean =>
  expiresAt !== undefined && now >= EARLIEST_CLOCK && now > expiresAt + EXPIRY_TOLERANCE

export interface Member {
  role: Role
  /** Seconds since 1970; missing: never. */
  expiresAt: number | undefined
  /** What makes it one; missing for an admin that the manifest names. */
  membership: Membership | undefined
}

export interface Standing {
  members: ReadonlyMap<PeerId, Member>
  /** Of members and of invites. */
  revoked: ReadonlySet<PeerId>
  /** Why a certificate does not count, as far as one can tell from those held; undefined where it does. */
  refusal(certificate: { kind: 'membership'; of: Membership } | { kind: 'revocation'; of: Revocation }): RejectionCode | undefined
  /** Why nobody can become a member by this invite. */
  inviteRefusal(invite: Invite): 'unknown-issuer' | 'revoked' | 'expired' | undefined
}

export function standingOf(
  held: { memberships: readonly Membership[]; revocations: readonly Revocation[] },
  root: Root,
  now: number,
): Standing {
  const { founder } = root
  /** Ever named, also where it has expired since. */
  const named = new Set(root.admins)
  for (const { issuer, role, subject } of held.memberships) if (issuer === founder && role === 'admin') named.add(subject)
  // Only the founder revokes admins, so that no two of them can revoke each other.
  const byFounder = new Set(held.revocations.flatMap(({ issuer, subject }) => (issuer === founder ? [subject] : [])))
  const mayRevoke = (issuer: PeerId, subject: PeerId) =>
    issuer === founder || (named.has(issuer) && !byFounder.has(issuer) && !named.has(subject))
  const revoked = new Set(held.revocations.flatMap(({ issuer, subject }) => (mayRevoke(issuer, subject) ? [subject] : [])))

  const members = new Map<PeerId, Member>()
  const admit = (peer: PeerId, member: Member) => {
    const known = members.get(peer)
    if (!revoked.has(peer) && !hasEnded(member.expiresAt, now) && (known === undefined || isBetter(member, known)))
      members.set(peer, member)
  }
  for (const peer of root.admins) admit(peer, { role: 'admin', expiresAt: undefined, membership: undefined })
  for (const membership of held.memberships) {
    const { issuer, subject, role, expiresAt } = membership
    if (issuer === founder) admit(subject, { role, expiresAt, membership })
  }
  // Now that all admins are known.
  const admins = new Map([...members].filter(([, { role }]) => role === 'admin'))
  for (const membership of held.memberships) {
    const admin = admins.get(membership.issuer)
    if (admin === undefined || membership.role === 'admin') continue
    admit(membership.subject, { role: 'peer', expiresAt: earlier(membership.expiresAt, admin.expiresAt), membership })
  }

  /** What anyone but the founder signs counts only while it is an admin. */
  function issuerRefusal(issuer: PeerId): 'unknown-issuer' | 'revoked' | 'expired' | undefined {
    if (issuer === founder || admins.has(issuer)) return undefined
    if (!named.has(issuer)) return 'unknown-issuer'
    return byFounder.has(issuer) ? 'revoked' : 'expired'
  }

  function membershipRefusal({ issuer, subject, role, expiresAt }: Membership): RejectionCode | undefined {
    if (role === 'admin' && issuer !== founder) return 'not-allowed'
    // Whom the founder names, no admin has ever been able to revoke, whichever of the two certificates came first.
    if (role === 'admin' ? byFounder.has(subject) : revoked.has(subject)) return 'revoked'
    // An admin's goes on to be needed for what the admin has revoked.
    if (role === 'admin') return undefined
    return issuerRefusal(issuer) ?? (hasEnded(expiresAt, now) ? 'expired' : undefined)
  }

  return {
    members,
    revoked,
    refusal(certificate) {
      if (certificate.kind === 'membership') return membershipRefusal(certificate.of)
      const { issuer, subject } = certificate.of
      if (mayRevoke(issuer, subject)) return undefined
      return byFounder.has(issuer) ? 'revoked' : 'unknown-issuer'
    },
    inviteRefusal: ({ issuer, subject, expiresAt }) =>
      issuerRefusal(issuer) ?? (revoked.has(subject) ? 'revoked' : hasEnded(expiresAt, now) ? 'expired' : undefined),
  }
}

const earlier = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

/** The higher role, then the longer time, then (so that all hold the same one) the smaller bytes. */
function isBetter(a: Member, b: Member): boolean {
  if (a.role !== b.role) return a.role === 'admin'
  if (a.expiresAt !== b.expiresAt) return (a.expiresAt ?? Number.POSITIVE_INFINITY) > (b.expiresAt ?? Number.POSITIVE_INFINITY)
  return a.membership !== undefined && b.membership !== undefined && isBefore(a.membership.envelope, b.membership.envelope)
}

/** Lexicographic order of bytes. */
export function isBefore(a: Uint8Array, b: Uint8Array): boolean {
  const at = a.findIndex((byte, i) => byte !== b[i])
  return at < 0 ? a.length < b.length : (a[at] ?? 0) < (b[at] ?? -1)
}
