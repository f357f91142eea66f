// Who may sign what, and who is a member because of it: a pure function of the certificates held, in whatever order they came.
// The founder signs anything. An admin, whom the founder named, signs memberships of peers, and revokes peers and invites. What an
// admin signed, of either kind, ends with the admin: a time that it wrote itself could not tell what it signed before its end from what
// its key signs after. So that nobody comes back with that end, those who may sign revoke anew (`lapsing`).
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
  expiresAt !== undefined && isPast(expiresAt + EXPIRY_TOLERANCE, now)

/** The same without tolerance. */
const isPast = (expiresAt: number | undefined, now: number): boolean => expiresAt !== undefined && now >= EARLIEST_CLOCK && now > expiresAt

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
  /** Those whose revocation counts only for the tolerance after its signer's end, or ended with it: to be revoked anew by who may. */
  lapsing: ReadonlySet<PeerId>
  /** Whether what it signs now goes on to count. */
  lasts(issuer: PeerId): boolean
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

  /** Until when each admin is one; undefined: for ever. */
  const admins = new Map<PeerId, number | undefined>()
  const name = (admin: PeerId, expiresAt: number | undefined) => {
    if (!byFounder.has(admin) && (!admins.has(admin) || outlasts(expiresAt, admins.get(admin)))) admins.set(admin, expiresAt)
  }
  for (const admin of root.admins) name(admin, undefined)
  for (const { issuer, role, subject, expiresAt } of held.memberships) if (issuer === founder && role === 'admin') name(subject, expiresAt)
  const isAdmin = (peer: PeerId) => admins.has(peer) && !hasEnded(admins.get(peer), now)

  const mayRevoke = (issuer: PeerId, subject: PeerId) => issuer === founder || (isAdmin(issuer) && !named.has(subject))
  const counting = held.revocations.filter(({ issuer, subject }) => mayRevoke(issuer, subject))
  const revoked = new Set(counting.map(({ subject }) => subject))
  const lasts = (issuer: PeerId) => issuer === founder || (admins.has(issuer) && !isPast(admins.get(issuer), now))
  const lasting = new Set(counting.flatMap(({ issuer, subject }) => (lasts(issuer) ? [subject] : [])))
  const lapsing = new Set(
    held.revocations.flatMap(({ issuer, subject }) =>
      admins.has(issuer) && !lasts(issuer) && !named.has(subject) && !lasting.has(subject) ? [subject] : [],
    ),
  )

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
  for (const membership of held.memberships) {
    const { issuer, subject, role, expiresAt } = membership
    if (isAdmin(issuer) && role !== 'admin') admit(subject, { role, expiresAt: earlier(expiresAt, admins.get(issuer)), membership })
  }

  /** What anyone but the founder signs counts only while it is an admin. */
  function issuerRefusal(issuer: PeerId): 'unknown-issuer' | 'revoked' | 'expired' | undefined {
    if (issuer === founder || isAdmin(issuer)) return undefined
    if (byFounder.has(issuer)) return 'revoked'
    return named.has(issuer) ? 'expired' : 'unknown-issuer'
  }

  function membershipRefusal({ issuer, subject, role, expiresAt }: Membership): RejectionCode | undefined {
    if (role === 'admin' && issuer !== founder) return 'not-allowed'
    // Whom the founder names, no admin has ever been able to revoke, whichever of the two certificates came first.
    if (role === 'admin' ? byFounder.has(subject) : revoked.has(subject)) return 'revoked'
    // An admin's goes on to be needed: for whom no admin may revoke.
    if (role === 'admin') return undefined
    return issuerRefusal(issuer) ?? (hasEnded(expiresAt, now) ? 'expired' : undefined)
  }

  return {
    members,
    revoked,
    lapsing,
    lasts,
    refusal(certificate) {
      if (certificate.kind === 'membership') return membershipRefusal(certificate.of)
      const { issuer, subject } = certificate.of
      // An admin of those whom the founder ever named: in whatever order one hears of that.
      return mayRevoke(issuer, subject) ? undefined : (issuerRefusal(issuer) ?? 'unknown-issuer')
    },
    inviteRefusal: ({ issuer, subject, expiresAt }) =>
      issuerRefusal(issuer) ?? (revoked.has(subject) ? 'revoked' : hasEnded(expiresAt, now) ? 'expired' : undefined),
  }
}

const outlasts = (a: number | undefined, b: number | undefined): boolean =>
  (a ?? Number.POSITIVE_INFINITY) > (b ?? Number.POSITIVE_INFINITY)

const earlier = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

/** The higher role, then the longer time, then (so that all hold the same one) the smaller bytes. */
function isBetter(a: Member, b: Member): boolean {
  if (a.role !== b.role) return a.role === 'admin'
  if (a.expiresAt !== b.expiresAt) return outlasts(a.expiresAt, b.expiresAt)
  return a.membership !== undefined && b.membership !== undefined && isBefore(a.membership.envelope, b.membership.envelope)
}

/** Lexicographic order of bytes. */
export function isBefore(a: Uint8Array, b: Uint8Array): boolean {
  const at = a.findIndex((byte, i) => byte !== b[i])
  return at < 0 ? a.length < b.length : (a[at] ?? 0) < (b[at] ?? -1)
}
