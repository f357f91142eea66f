// Who is let in: answers strangers that ask for the task or bring an invite, and signs what makes and ends members.
import { equals } from 'uint8arrays/equals'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { type PeerId, peerIdOf, shortId } from '../../protocol/identity.ts'
import {
  decodeJoinRequest,
  decodeJoinResponse,
  decodeTaskRequest,
  encodeJoinResponse,
  encodeTaskResponse,
  JOIN_PROTOCOL,
  NO_PROOF,
  type Proof,
  REFUSALS,
  type Refusal,
  TASK_PROTOCOL,
} from '../../protocol/join.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { type Invite, type InviteBody, openInvite, openMembership, openRedemption, type Role } from '../../protocol/membership.ts'
import type { Task } from '../../protocol/task.ts'
import type { Clock, Gate, Network, Random, Signer, Store } from '../ports.ts'
import { createRateLimit } from '../rate-limit.ts'
import { signerOfSeed } from '../store/identity.ts'
import { openInvites } from './invites.ts'
import type { Certificate, MemberBook } from './member-book.ts'
import type { PeerParts } from './parts.ts'
import { createSigning } from './signing.ts'

/** Milliseconds in which an issuer answers a redemption that is passed on: the stranger's own connection does not last longer. */
const FORWARD_MILLIS = 6000
const SEED_BYTES = 32
/** Rosters that one peer is told: each costs a look at all certificates, and up to 640 KiB. */
const ROSTERS = { perSecond: 0.1, burst: 4, keys: LIMITS.members }

export interface AdmissionParts extends Pick<PeerParts, 'verify'> {
  network: Network
  task: Task
  book: MemberBook
  /** The peer's own key, and the founder's where it is here. */
  signer: Signer
  founder: Signer | undefined
  store: Pick<Store, 'saveDocument' | 'loadDocument'>
  clock: Clock
  random: Random
  /** The round in hand, which newcomers are told. */
  round: () => number
  /** Tells the other members of what was signed here. */
  tell: (certificate: Certificate) => void
}

export type InviteOptions = Omit<InviteBody, 'key'>

export interface Admission {
  gate: Gate
  /** From now on strangers are answered. */
  serve(): void
  /** What a join line with a new invite holds. `isKept`: it is `printed` again. @throws not-allowed, limit-exceeded, bad-argument, disk-failed */
  invite(options: InviteOptions, isKept?: boolean): Promise<{ invite: Uint8Array; key: Uint8Array }>
  /** The invite that is kept, where it can still be redeemed. */
  printed(): { invite: Uint8Array; key: Uint8Array; left: number; expiresAt: number | undefined } | undefined
  /** Makes a peer a member without an invite. @throws not-allowed, bad-argument, limit-exceeded, disk-failed */
  admit(key: Uint8Array, role: Role, memberSeconds?: number): Promise<Uint8Array>
  /** Ends memberships, or the use of invites, for ever. `restore`: those whom a revoked admin had revoked may come back. @throws not-allowed, disk-failed */
  revoke(keys: readonly Uint8Array[], restore?: boolean): Promise<void>
  /** Who else would be no member any more, and who would be no more revoked. */
  consequences(keys: readonly Uint8Array[], restore?: boolean): { ended: PeerId[]; back: PeerId[] }
  /** Revokes anew, where this peer may, whom an admin had revoked whose time is over. @throws disk-failed */
  takeOver(): Promise<void>
}

const refuse = (refusal: Refusal, more = ''): MurmurError => new MurmurError('peer-refused', `${REFUSALS[refusal].text}${more}`)

export async function createAdmission(parts: AdmissionParts): Promise<Admission> {
  const { network, task, book, verify, random } = parts
  const signing = createSigning(parts)
  const rules = { task: task.id, verify }
  const invites = await openInvites(parts.store, rules, (invite) => book.inviteRefusal(invite) !== undefined)
  const rosters = createRateLimit(ROSTERS, parts.clock)
  /** Redemptions are counted one after the other. */
  let counting: Promise<unknown> = Promise.resolve()

  /** The invite that `subject` shows, where it proves to hold it; undefined where it shows none. @throws peer-refused */
  function inviteOf(proof: Proof, asking: PeerId): { invite: Invite; key: Uint8Array; subject: PeerId } | undefined {
    if (proof.invite.length === 0) return undefined
    const invite = openInvite(proof.invite, rules)
    const redemption = openRedemption(proof.redemption, rules)
    if (typeof invite === 'string' || typeof redemption === 'string' || redemption.issuer !== invite.subject) throw refuse('bad-invite')
    const { key, subject } = redemption
    // Others than the newcomer itself ask only as members who pass it on.
    if (subject !== asking && !book.isMember(asking)) throw refuse('bad-invite')
    if (book.revoked().has(subject)) throw refuse('taken-back')
    const why = book.inviteRefusal(invite)
    if (why !== undefined) throw refuse(why === 'unknown-issuer' ? why : `invite-${why}`)
    return { invite, key, subject }
  }

  /** Takes in the membership that a peer shows of itself. @throws peer-refused */
  function show(membership: Uint8Array): void {
    if (membership.length === 0) return
    const code = book.take({ kind: 'membership', envelope: membership })
    if (code === 'new' || code === 'known') return
    throw refuse(code === 'revoked' ? 'taken-back' : code === 'expired' || code === 'full' ? code : 'bad-invite')
  }

  /** Who was revoked, or shows a membership that ended with the admin who signed it, is shown why, signed, and can see for itself. */
  function whyOut(from: PeerId, shown: Uint8Array): Certificate[] {
    if (book.revoked().has(from)) return book.whyRevoked(from)
    const membership = shown.length === 0 || book.isMember(from) ? undefined : openMembership(shown, rules)
    return typeof membership === 'object' && book.revoked().has(membership.issuer) ? book.whyRevoked(membership.issuer) : []
  }

  function answerTask(body: Uint8Array, from: PeerId): Uint8Array {
    if (book.mode === 'invite' && !book.isMember(from)) {
      const proof = decodeTaskRequest(body)
      if (proof === 'malformed') throw refuse('bad-invite')
      if (inviteOf(proof, from) === undefined) {
        show(proof.membership)
        if (!book.isMember(from)) throw refuse(book.revoked().has(from) ? 'taken-back' : 'no-invite')
      }
    }
    return encodeTaskResponse(task.envelope)
  }

  async function answerJoin(body: Uint8Array, from: PeerId): Promise<Uint8Array> {
    const request = decodeJoinRequest(body)
    if (request === 'malformed') throw refuse('bad-invite')
    if (!equals(request.task, task.id)) throw new MurmurError('peer-refused', 'this peer works on another task')
    const why = whyOut(from, request.membership)
    if (why.length > 0) return encodeJoinResponse({ membership: NO_PROOF.membership, roster: why, round: 0 })
    const shown = inviteOf(request, from)
    if (shown === undefined) {
      const isNew = !book.isMember(from)
      show(request.membership)
      if (!book.isMember(from)) throw refuse('no-invite')
      return answer(from, isNew || request.membership.length === 0)
    }
    const { invite, key, subject } = shown
    if (invite.issuer !== network.self) return pass(body, invite.issuer)
    const turn = counting.then(() => redeem(invite, key, subject))
    counting = turn.catch(() => {})
    await turn
    return answer(subject, true)
  }

  /** Who is known already has the state exchange for the rest. */
  const answer = (peer: PeerId, isNew: boolean): Uint8Array =>
    encodeJoinResponse({
      membership: book.membershipOf(peer) ?? new Uint8Array(),
      roster: isNew && rosters.take(peer) ? book.records() : [],
      round: parts.round(),
    })

  async function redeem(invite: Invite, key: Uint8Array, subject: PeerId): Promise<void> {
    const entry = invites.find(invite.subject)
    if (entry === undefined) throw refuse('spent')
    const given = entry.uses.get(subject)
    if (given === undefined) {
      if (invite.role === 'peer' && book.members().some(({ peer, expiresAt }) => peer === subject && expiresAt === undefined)) return
      if (entry.uses.size >= invite.uses) throw refuse('spent')
    }
    const envelope = given ?? signing.membership(key, invite.role, invite.memberSeconds, invite.key).envelope
    // On disk before anybody hears of it: a crash must not give a use away twice.
    if (given === undefined) await invites.use(entry, subject, envelope)
    await take({ kind: 'membership', envelope })
  }

  /** Hands a redemption to whoever counts it. */
  async function pass(body: Uint8Array, issuer: PeerId): Promise<Uint8Array> {
    const away = () => refuse('away', ` (…${shortId(issuer)}); ask again later, or ask another admin for an invite`)
    try {
      const bytes = await network.request(issuer, JOIN_PROTOCOL, body, { timeout: FORWARD_MILLIS })
      const response = decodeJoinResponse(bytes)
      if (response === 'malformed') throw away()
      book.take({ kind: 'membership', envelope: response.membership })
      return bytes
    } catch (error) {
      throw isMurmurError(error, 'peer-refused') ? error : away()
    }
  }

  /** Takes what was signed here into the own book, and tells the others. @throws peer-refused where there is no room */
  async function take(certificate: Certificate): Promise<void> {
    const code = book.take(certificate)
    if (code === 'known') return
    if (code !== 'new') {
      if (code === 'full' || code === 'expired') throw refuse(code)
      throw new MurmurError('not-allowed', `The others would not take what this peer signs (${code}); do it where founder.key is.`)
    }
    await book.flush()
    parts.tell(certificate)
  }

  /** What an admin had revoked would come back with the end of the admin: the founder takes that over, unless told not to. */
  const withInherited = (keys: readonly Uint8Array[], restore: boolean): Uint8Array[] => [
    ...(restore ? [] : keys.flatMap((key) => book.revokedBy(peerIdOf(key)))),
    ...keys,
  ]

  async function revokeAll(keys: readonly Uint8Array[]): Promise<void> {
    for (const key of keys) await take({ kind: 'revocation', envelope: signing.revocation(key).envelope })
  }

  return {
    gate: { isMember: book.isMember, open: new Set([TASK_PROTOCOL, JOIN_PROTOCOL]) },
    serve() {
      network.serve(TASK_PROTOCOL, async (body, from) => answerTask(body, from))
      network.serve(JOIN_PROTOCOL, answerJoin)
    },
    async invite(options, isKept = false) {
      const seed = random.bytes(SEED_BYTES)
      const invite = signing.invite({ ...options, key: signerOfSeed(seed).publicKey })
      await invites.add(invite, isKept ? seed : undefined)
      return { invite: invite.envelope, key: seed }
    },
    printed() {
      const entry = invites.printed()
      if (entry === undefined) return undefined
      const { invite, seed, uses } = entry
      return { invite: invite.envelope, key: seed, left: invite.uses - uses.size, expiresAt: invite.expiresAt }
    },
    async admit(key, role, memberSeconds) {
      const { envelope } = signing.membership(key, role, memberSeconds)
      await take({ kind: 'membership', envelope })
      return envelope
    },
    revoke: (keys, restore = false) => revokeAll(withInherited(keys, restore)),
    consequences: (keys, restore = false) => book.ifRevoked(withInherited(keys, restore).map(peerIdOf)),
    async takeOver() {
      await revokeAll(book.lapsingFor(parts.founder?.peerId ?? network.self))
    },
  }
}
