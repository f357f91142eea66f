// What commands ask a running peer for through its control socket.
import { z } from 'zod'
import type { Verify } from '../../protocol/envelope.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { type PeerId, peerIdOf, publicKeyOf, shortId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { openInvite } from '../../protocol/membership.ts'
import type { Task } from '../../protocol/task.ts'
import type { Admission } from './admission.ts'
import type { Methods } from './control.ts'
import type { JoinLines } from './join-lines.ts'
import type { MemberBook, Role } from './member-book.ts'
import type { MemberStatus, Peer } from './peer.ts'

const SHORTEST_ID = 6

export const inviteParams = z.strictObject({
  uses: z.int().min(1).max(LIMITS.inviteUses).default(1),
  role: z.enum(['peer', 'admin']).default('peer'),
  /** Seconds since 1970; missing: never. */
  expiresAt: z.int().min(1).optional(),
  memberSeconds: z.int().min(1).optional(),
  /** Makes this peer a member at once, without an invite. */
  peer: z.string().optional(),
})

const revokeParams = z.strictObject({
  /** A peer's id or its last characters, or an invite as base64url. */
  peer: z.string().optional(),
  invite: z.string().optional(),
  /** Those who came by the invite, too. */
  members: z.boolean().default(false),
  /** Those whom the revoked admin had revoked come back. */
  restore: z.boolean().default(false),
})

/** Of a revocation that is made, or would be. */
export interface RevokeAnswer {
  /** Peers and invites. */
  revoked: PeerId[]
  /** Members that fall with them, as those whom a revoked admin had let in. */
  ended: PeerId[]
  /** Peers and invites whose revocation ends with the admin that had made it. */
  back: PeerId[]
}

export interface PeersAnswer {
  self: PeerId
  mode: 'open' | 'invite'
  role: Role | undefined
  members: MemberStatus[]
  /** Peers and invites. */
  revoked: PeerId[]
}

export function controlMethods(parts: {
  peer: Peer
  admission: Admission
  book: MemberBook
  task: Task
  verify: Verify
  lines: JoinLines
}): Methods {
  const { peer, admission, book, task, verify, lines } = parts
  const self = () => peer.status().peer

  /** @throws bad-argument */
  function parse<S extends z.ZodType>(schema: S, params: unknown): z.output<S> {
    const parsed = schema.safeParse(params)
    if (parsed.success) return parsed.data
    const { path, message } = parsed.error.issues[0]!
    throw new MurmurError('bad-argument', `${path.join('.') || 'The request'} does not fit: ${message}.`)
  }

  /** The peers and invites that are to be revoked. @throws bad-argument */
  function targets({ peer: id, invite, members }: z.output<typeof revokeParams>): Uint8Array[] {
    if (invite !== undefined) {
      const opened = openInvite(Buffer.from(invite, 'base64url'), { task: task.id, verify })
      if (typeof opened === 'string') throw new MurmurError('bad-argument', `The line holds no invite of this network (${opened}).`)
      return [opened.key, ...(members ? book.invitedBy(opened.subject) : [])]
    }
    const known = [...new Set([...peer.members().map((member) => member.peer), ...book.members().map((member) => member.peer)])]
    return [publicKeyOf(fullId(id ?? '', known))!]
  }

  /** @throws bad-argument */
  function consequences(given: z.output<typeof revokeParams>): RevokeAnswer {
    const keys = targets(given)
    const revoked = keys.map(peerIdOf)
    if (revoked.includes(self())) throw new MurmurError('bad-argument', 'A peer does not revoke itself: stop it, or ask another admin.')
    return { revoked, ...admission.consequences(keys, given.restore) }
  }

  return {
    status: () => peer.status(),
    peers: (): PeersAnswer => ({
      self: self(),
      mode: book.mode,
      role: book.roleOf(self()),
      members: peer.members(),
      revoked: [...book.revoked()],
    }),
    async invite(params) {
      const { peer: id, role, memberSeconds, ...rest } = parse(inviteParams, params)
      if (id !== undefined) {
        const membership = await admission.admit(keyOf(id), role, memberSeconds)
        return { joinLine: lines.with({ membership }) }
      }
      if (book.mode === 'open')
        throw new MurmurError('bad-argument', 'This network is open: whoever has the line that `murmur start` prints takes part.')
      return { joinLine: lines.with(await admission.invite({ ...rest, role, memberSeconds })) }
    },
    consequences: (params): RevokeAnswer => consequences(parse(revokeParams, params)),
    async revoke(params): Promise<RevokeAnswer> {
      const given = parse(revokeParams, params)
      const follows = consequences(given)
      await admission.revoke(targets(given), given.restore)
      return follows
    },
  }
}

/** @throws bad-argument */
export function keyOf(peer: string): Uint8Array {
  const key = publicKeyOf(peer)
  if (key === undefined) throw new MurmurError('bad-argument', `"${peer.slice(0, 60)}" is no peer id; one is like 12D3KooW…, in full.`)
  return key
}

/** A peer id in full, from it or its last characters. @throws bad-argument */
function fullId(given: string, known: readonly PeerId[]): PeerId {
  if (publicKeyOf(given) !== undefined) return given
  const end = given.replace(/^…/, '')
  const fitting = end.length < SHORTEST_ID ? [] : known.filter((peer) => peer.endsWith(end))
  if (fitting.length === 1) return fitting[0]!
  const why =
    fitting.length === 0 ? `no member's id ends like that, with ${SHORTEST_ID} characters at least` : fitting.map(shortId).join(', ')
  throw new MurmurError('bad-argument', `"${given.slice(0, 60)}" names no peer: ${why}. \`murmur peers\` lists them.`)
}
