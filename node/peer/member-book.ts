// Who is a member: signed memberships and revocations, merged as sets, kept for the task's life.
import { MurmurError } from '../../protocol/errors.ts'
import { type PeerId, peerIdOf } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { type Invite, type Membership, openMembership, openRevocation, type Revocation, type Role } from '../../protocol/membership.ts'
import type { RejectionCode } from '../../protocol/rejections.ts'
import { EARLIEST_CLOCK, hasEnded, isBefore, type Standing, standingOf } from '../../protocol/standing.ts'
import type { Task } from '../../protocol/task.ts'
import type { PeerEvent } from '../events.ts'
import type { Clock, Store } from '../ports.ts'
import { type Certificate, decodeCertificates, encodeCertificates } from './certificate-file.ts'
import type { PeerParts } from './parts.ts'

export type { Role } from '../../protocol/membership.ts'
export type { Certificate } from './certificate-file.ts'
export type MemberEvent = Extract<PeerEvent, { type: 'member' }>

export interface MemberBook {
  readonly mode: 'open' | 'invite'
  /** Whether `peer` may take part now: not revoked and, where admission is by invitation, with a membership that counts. */
  isMember(peer: PeerId): boolean
  /** Takes in a signed membership or revocation, from wherever it comes; what is new is stored. */
  take(record: Certificate): 'new' | 'known' | RejectionCode
  /** The signed membership of a member, which rides along with its announcements. */
  membershipOf(peer: PeerId): Uint8Array | undefined
  /** All memberships and revocations held that count, for the state exchange: each after what it needs to be believed. */
  records(): Certificate[]
  /** Those whom a membership names and nobody has revoked; empty where admission is open. */
  members(): { peer: PeerId; role: Role; expiresAt?: number }[]
  /** The role that certificates give a peer, also where admission is open. */
  roleOf(peer: PeerId): Role | undefined
  /** Peers and invites whose revocation counts. */
  revoked(): ReadonlySet<PeerId>
  /** What shows that a peer was revoked, in an order in which it is believed. */
  whyRevoked(peer: PeerId): Certificate[]
  /** Public keys of those whom an admin has revoked. */
  revokedBy(issuer: PeerId): Uint8Array[]
  /** Public keys of those who would come back with the end of an admin's time, for `signer` to revoke anew; none where its own is over. */
  lapsingFor(signer: PeerId): Uint8Array[]
  /** What else would follow if these were revoked: who is no member then, and who is no more revoked, by peer id. */
  ifRevoked(subjects: readonly PeerId[]): { ended: PeerId[]; back: PeerId[] }
  /** Members that came by an invite: their public keys. */
  invitedBy(invite: PeerId): Uint8Array[]
  /** Why nobody can become a member by this invite. */
  inviteRefusal(invite: Invite): ReturnType<Standing['inviteRefusal']>
  /** Tells of everyone who becomes, or is no longer, a member; returns a function that ends it. */
  subscribe(listener: (event: MemberEvent) => void): () => void
  /** Resolves once all that was taken is on disk. @throws disk-failed */
  flush(): Promise<void>
  close(): Promise<void>
}

/** Memberships of one peer that are kept: by different admins, so that one still counts when another's signer is revoked. */
const MEMBERSHIPS_EACH = 4
const MEMBERSHIPS = MEMBERSHIPS_EACH * LIMITS.members
/** Milliseconds between two looks for memberships that have ended. */
const EXPIRY_MILLIS = 60_000

type Judged = Parameters<Standing['refusal']>[0]

export interface MemberBookParts extends Pick<PeerParts, 'verify'> {
  task: Pick<Task, 'id' | 'founder'> & { manifest: Pick<Task['manifest'], 'admission'> }
  store: Pick<Store, 'saveDocument' | 'loadDocument'>
  clock: Clock
  onWarning?: (error: MurmurError) => void
}

/** Opens the book that the store holds. @throws directory-invalid where it is damaged, disk-failed */
export async function createMemberBook(parts: MemberBookParts): Promise<MemberBook> {
  const { task, store, clock, verify, onWarning = () => {} } = parts
  const { mode, admins } = task.manifest.admission
  const root = { founder: task.founder, admins }
  const rules = { task: task.id, verify }
  const memberships = new Map<string, Membership>()
  const revocations = new Map<string, Revocation>()
  /** The bytes of what is held: most of what comes in is known. */
  const known = new Set<string>()
  const listeners = new Set<(event: MemberEvent) => void>()
  const seconds = () => Math.floor(clock.wall() / 1000)
  let standing = judge()
  let cancelLook = () => {}
  let saving: Promise<void> | undefined
  let isDirty = false
  let isRestoring = true
  let hasWarned = false
  let closed = false

  function judge(more: readonly Revocation[] = []): Standing {
    return standingOf({ memberships: [...memberships.values()], revocations: [...revocations.values(), ...more] }, root, seconds())
  }

  const takesPart = (peer: PeerId, { members, revoked }: Standing) => (mode === 'open' ? !revoked.has(peer) : members.has(peer))

  /** Judges anew and tells what has changed. */
  function update(): void {
    const was = standing
    standing = judge()
    for (const peer of new Set([was, standing].flatMap(({ members, revoked }) => [...members.keys(), ...revoked]))) {
      const member = takesPart(peer, standing)
      const [before, after] = [was.members.get(peer), standing.members.get(peer)]
      if (member === takesPart(peer, was) && (!member || before?.role === after?.role)) continue
      const why = member ? 'admitted' : hasEnded(before?.expiresAt, seconds()) ? 'expired' : 'revoked'
      for (const listener of listeners) listener({ type: 'member', peer, member, role: (after ?? before)?.role ?? 'peer', why })
    }
    look()
  }

  /** Memberships end also while nothing else happens. */
  function look(): void {
    cancelLook()
    if (closed || ![...standing.members.values()].some(({ expiresAt }) => expiresAt !== undefined)) return
    if (seconds() < EARLIEST_CLOCK && !hasWarned) {
      hasWarned = true
      const year = new Date(clock.wall()).getUTCFullYear()
      onWarning(new MurmurError('bad-config', `This machine's clock says ${year}; until it is set, no membership is taken to have ended.`))
    }
    cancelLook = clock.after(EXPIRY_MILLIS, update)
  }

  function takeMembership(envelope: Uint8Array): 'new' | 'known' | RejectionCode {
    const membership = openMembership(envelope, rules)
    if (typeof membership === 'string') return membership
    const { subject, issuer, role } = membership
    const code = standing.refusal({ kind: 'membership', of: membership })
    if (code !== undefined) return code
    const place = `${subject} ${issuer} ${role}`
    const held = memberships.get(place)
    // One of a kind by an issuer: the newest, so that all come to hold the same one, in whatever order they hear of them.
    if (held !== undefined && !isNewer(membership, held)) return 'known'
    if (held === undefined) {
      const isFirst = issuer === task.founder && role === 'admin'
      if (!isFirst && !standing.members.has(subject) && standing.members.size >= LIMITS.members) return 'full'
      const others = [...memberships.values()].filter((other) => other.subject === subject).length
      if (!isFirst && others >= MEMBERSHIPS_EACH) return 'full'
      if (memberships.size >= MEMBERSHIPS) sweep(memberships, 'membership')
      if (memberships.size >= MEMBERSHIPS) return 'full'
    }
    keep(memberships, place, membership)
    return 'new'
  }

  function takeRevocation(envelope: Uint8Array): 'new' | 'known' | RejectionCode {
    const revocation = openRevocation(envelope, rules)
    if (typeof revocation === 'string') return revocation
    const { subject, issuer } = revocation
    const code = standing.refusal({ kind: 'revocation', of: revocation })
    // What was held as long as its signer was an admin is what others may have to revoke anew.
    if (code !== undefined && !(isRestoring && code === 'expired')) return code
    const place = `${subject} ${issuer}`
    const held = revocations.get(place)
    if (held !== undefined && !isNewer(held, revocation)) return 'known'
    if (held === undefined && revocations.size >= LIMITS.revocations) {
      sweep(revocations, 'revocation')
      if (revocations.size >= LIMITS.revocations && !(issuer === task.founder && dropOneByAdmin())) return 'full'
    }
    keep(revocations, place, revocation)
    return 'new'
  }

  /** The founder's are never kept out by those of admins. */
  function dropOneByAdmin(): boolean {
    for (const [place, { issuer, envelope }] of revocations) {
      if (issuer === task.founder) continue
      known.delete(nameOf(envelope))
      return revocations.delete(place)
    }
    return false
  }

  function keep<T extends { envelope: Uint8Array }>(map: Map<string, T>, place: string, certificate: T): void {
    const held = map.get(place)
    if (held !== undefined) known.delete(nameOf(held.envelope))
    map.set(place, certificate)
    known.add(nameOf(certificate.envelope))
    update()
    save()
  }

  /** Drops what does not count, for room. */
  function sweep<T extends Membership | Revocation>(map: Map<string, T>, kind: Certificate['kind']): void {
    for (const [place, certificate] of map) {
      if (standing.refusal({ kind, of: certificate } as Judged) === undefined) continue
      map.delete(place)
      known.delete(nameOf(certificate.envelope))
    }
  }

  /** One write at a time; what comes meanwhile goes with the next. */
  function save(): void {
    isDirty = true
    if (!isRestoring) saving ??= write()
    saving?.catch(() => {})
  }

  async function write(): Promise<void> {
    try {
      // Taken together: a roster of a thousand is one write.
      await Promise.resolve()
      while (isDirty) {
        isDirty = false
        await store.saveDocument('members', encodeCertificates(held()))
      }
    } catch (error) {
      isDirty = true
      const failed =
        error instanceof MurmurError ? error : new MurmurError('disk-failed', 'The file "members" cannot be written.', { cause: error })
      onWarning(failed)
      throw failed
    } finally {
      saving = undefined
    }
  }

  /** Admins first, then what they revoked, then whom they admitted. */
  const held = (fits: (certificate: Judged) => boolean = () => true): Certificate[] => {
    const all = [...memberships.values()].filter((of) => fits({ kind: 'membership', of }))
    const membership = ({ envelope }: Membership): Certificate => ({ kind: 'membership', envelope })
    return [
      ...all.filter(({ role }) => role === 'admin').map(membership),
      ...[...revocations.values()].flatMap((of): Certificate[] =>
        fits({ kind: 'revocation', of }) ? [{ kind: 'revocation', envelope: of.envelope }] : [],
      ),
      ...all.filter(({ role }) => role === 'peer').map(membership),
    ]
  }

  const book: MemberBook = {
    mode,
    isMember(peer) {
      if (mode === 'open') return !standing.revoked.has(peer)
      const member = standing.members.get(peer)
      return member !== undefined && !hasEnded(member.expiresAt, seconds())
    },
    take({ kind, envelope }) {
      if (known.has(nameOf(envelope))) return 'known'
      return kind === 'membership' ? takeMembership(envelope) : takeRevocation(envelope)
    },
    membershipOf: (peer) => (mode === 'invite' ? standing.members.get(peer)?.membership?.envelope : undefined),
    records: () => held((certificate) => standing.refusal(certificate) === undefined),
    members: () =>
      mode === 'open'
        ? []
        : [...standing.members].map(([peer, { role, expiresAt }]) => ({ peer, role, ...(expiresAt !== undefined && { expiresAt }) })),
    roleOf: (peer) => standing.members.get(peer)?.role,
    revoked: () => standing.revoked,
    whyRevoked(peer) {
      const counting = [...revocations.values()].filter(
        (of) => of.subject === peer && standing.refusal({ kind: 'revocation', of }) === undefined,
      )
      const issuers = new Set(counting.map(({ issuer }) => issuer))
      return held(({ kind, of }) => (kind === 'revocation' ? counting.includes(of) : of.role === 'admin' && issuers.has(of.subject)))
    },
    revokedBy: (issuer) => [...revocations.values()].flatMap((of) => (of.issuer === issuer ? [of.key] : [])),
    lapsingFor(signer) {
      // Time has passed since the last certificate came.
      const { lasts, lapsing } = judge()
      const keys = new Map([...revocations.values()].flatMap(({ subject, key }) => (lapsing.has(subject) ? [[subject, key]] : [])))
      return lasts(signer) ? [...keys.values()] : []
    },
    ifRevoked(subjects) {
      const nothing = new Uint8Array()
      const after = judge(subjects.map((subject) => ({ subject, issuer: task.founder, issuedAt: 0, key: nothing, envelope: nothing })))
      const peers = [...new Set([...standing.members.keys(), ...standing.revoked])].filter((peer) => !subjects.includes(peer))
      return {
        ended: peers.filter((peer) => takesPart(peer, standing) && !takesPart(peer, after)),
        back: peers.filter((peer) => standing.revoked.has(peer) && !after.revoked.has(peer)),
      }
    },
    invitedBy: (invite) =>
      [...standing.members.values()].flatMap(({ membership }) =>
        membership?.invite !== undefined && peerIdOf(membership.invite) === invite ? [membership.key] : [],
      ),
    // An invite ends by itself, which nothing else here need notice.
    inviteRefusal: (invite) => judge().inviteRefusal(invite),
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async flush() {
      if (isDirty && saving === undefined) save()
      await saving
    },
    async close() {
      closed = true
      cancelLook()
      await saving?.catch(() => {})
    },
  }

  const stored = await store.loadDocument('members')
  for (const record of stored === undefined ? [] : decodeCertificates(stored)) book.take(record)
  isRestoring = false
  isDirty = false
  return book
}

/** Of two of a kind by one issuer. Also of equal age one must be the same for all. */
const isNewer = (a: { issuedAt: number; envelope: Uint8Array }, b: { issuedAt: number; envelope: Uint8Array }): boolean =>
  a.issuedAt === b.issuedAt ? isBefore(a.envelope, b.envelope) : a.issuedAt > b.issuedAt

const nameOf = (envelope: Uint8Array): string => Buffer.from(envelope.buffer, envelope.byteOffset, envelope.length).toString('latin1')
