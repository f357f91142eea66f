// Who signs what makes and ends members: the founder's key where it is in this directory, else this peer's own where it is an admin.
import { MurmurError } from '../../protocol/errors.ts'
import { peerIdOf, shortId } from '../../protocol/identity.ts'
import {
  type Invite,
  type InviteBody,
  type Membership,
  type Revocation,
  type Role,
  sealInvite,
  sealMembership,
  sealRevocation,
} from '../../protocol/membership.ts'
import { EARLIEST_CLOCK } from '../../protocol/standing.ts'
import type { Task } from '../../protocol/task.ts'
import type { Clock, Signer } from '../ports.ts'
import { loadIdentity } from '../store/identity.ts'
import type { MemberBook } from './member-book.ts'

/** All throw not-allowed where this peer may not, bad-argument where something is to expire and the clock is absurd. */
export interface Signing {
  membership(key: Uint8Array, role: Role, memberSeconds?: number, invite?: Uint8Array): Membership
  revocation(key: Uint8Array): Revocation
  invite(body: InviteBody): Invite
}

/** The founder's key, where it is in this directory. Networks of the first version were signed by their founder's own peer. */
export async function founderOf(dir: string, task: Pick<Task, 'founder'>, signer: Signer): Promise<Signer | undefined> {
  if (task.founder === signer.peerId) return signer
  const kept = await loadIdentity(dir, 'founder.key')
  return kept?.signer.peerId === task.founder ? kept.signer : undefined
}

export function createSigning(parts: {
  task: Pick<Task, 'id'>
  book: MemberBook
  signer: Signer
  founder: Signer | undefined
  clock: Pick<Clock, 'wall'>
}): Signing {
  const { task, book, signer, founder, clock } = parts
  const seconds = () => Math.floor(clock.wall() / 1000)

  /** The founder's key goes first: what it signs outlives this peer's own rights. */
  function authority(role: Role): Signer {
    if (founder !== undefined) return founder
    const isAdmin = book.roleOf(signer.peerId) === 'admin'
    if (isAdmin && role === 'peer') return signer
    throw new MurmurError(
      'not-allowed',
      isAdmin
        ? "Only the founder names and removes admins: do it where the network's founder.key is."
        : `This peer (…${shortId(signer.peerId)}) is no admin of the network; ask one, or do it where founder.key is.`,
    )
  }

  function checkClock(): void {
    if (seconds() >= EARLIEST_CLOCK) return
    const year = new Date(clock.wall()).getUTCFullYear()
    throw new MurmurError(
      'bad-argument',
      `What is to expire needs a clock, and this machine's says ${year}; set it, or let nothing expire.`,
    )
  }

  return {
    membership(key, role, memberSeconds, invite) {
      if (memberSeconds !== undefined) checkClock()
      const issuedAt = seconds()
      const expiresAt = memberSeconds === undefined ? undefined : issuedAt + memberSeconds
      return sealMembership({ key, role, issuedAt, expiresAt, invite }, task.id, authority(role))
    },
    revocation: (key) => sealRevocation({ key, issuedAt: seconds() }, task.id, authority(book.roleOf(peerIdOf(key)) ?? 'peer')),
    invite(body) {
      authority(body.role)
      if (body.expiresAt !== undefined || body.memberSeconds !== undefined) checkClock()
      // By the peer, not the founder: others pass redemptions on to whoever signed the invite.
      if (book.roleOf(signer.peerId) === 'admin') return sealInvite(body, task.id, signer)
      throw new MurmurError('not-allowed', 'An invite is redeemed by the admin that made it, and this peer is none; use --peer ID instead.')
    },
  }
}
