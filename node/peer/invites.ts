// The invites that this peer has issued, and who has redeemed them: counted on disk before anyone is let in, so that none is used too often.
import { z } from 'zod'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { type CertificateRules, type Invite, openInvite } from '../../protocol/membership.ts'
import type { Store } from '../ports.ts'

/** Uses kept over all invites: each is a member, or was one. */
const MOST_USES = 4 * LIMITS.members

const bytes = z.base64().transform((text) => new Uint8Array(Buffer.from(text, 'base64')))
const schema = z.strictObject({
  version: z.literal(1),
  invites: z.array(
    z.strictObject({
      invite: bytes,
      /** Of the invite that `start` prints: it is printed again after a restart. Of others nobody but their bearer has it. */
      seed: bytes.optional(),
      uses: z.array(z.strictObject({ peer: z.string(), membership: bytes })),
    }),
  ),
})

interface Entry {
  invite: Invite
  seed?: Uint8Array | undefined
  /** The signed membership that each peer was given. */
  uses: Map<PeerId, Uint8Array>
}

export interface Invites {
  /** Stores a new one; resolves once it is on disk. @throws limit-exceeded, disk-failed */
  add(invite: Invite, seed?: Uint8Array): Promise<void>
  find(invite: PeerId): Entry | undefined
  /** Counts a use; resolves once it is on disk. @throws disk-failed */
  use(entry: Entry, peer: PeerId, membership: Uint8Array): Promise<void>
  /** The newest one whose seed is kept and that can still be redeemed. */
  printed(): (Entry & { seed: Uint8Array }) | undefined
}

/** @throws directory-invalid where the file is damaged: uses that are forgotten would be given away again */
export async function openInvites(
  store: Pick<Store, 'saveDocument' | 'loadDocument'>,
  rules: CertificateRules,
  hasEnded: (invite: Invite) => boolean,
): Promise<Invites> {
  const entries = new Map<PeerId, Entry>()
  const stored = await store.loadDocument('invites')
  if (stored !== undefined) {
    for (const { invite, seed, uses } of parse(stored)) {
      const opened = openInvite(invite, rules)
      if (typeof opened === 'string') throw damaged(`an invite is ${opened}`)
      entries.set(opened.subject, { invite: opened, seed, uses: new Map(uses.map(({ peer, membership }) => [peer, membership])) })
    }
  }

  const isOver = ({ invite, uses }: Entry) => hasEnded(invite) || uses.size >= invite.uses

  /** Room for one more use: those that can no longer be redeemed are forgotten, the oldest first. */
  function prune(): void {
    let uses = [...entries.values()].reduce((sum, entry) => sum + entry.uses.size, 0)
    for (const [subject, entry] of entries) {
      if (entries.size < LIMITS.invites && uses < MOST_USES) return
      if (!isOver(entry)) continue
      uses -= entry.uses.size
      entries.delete(subject)
    }
  }

  const save = () => {
    const text = (value: Uint8Array) => Buffer.from(value).toString('base64')
    const invites = [...entries.values()].map(({ invite, seed, uses }) => ({
      invite: text(invite.envelope),
      ...(seed && { seed: text(seed) }),
      uses: [...uses].map(([peer, membership]) => ({ peer, membership: text(membership) })),
    }))
    return store.saveDocument('invites', new TextEncoder().encode(JSON.stringify({ version: 1, invites })))
  }

  return {
    async add(invite, seed) {
      prune()
      if (entries.size >= LIMITS.invites) {
        throw new MurmurError(
          'limit-exceeded',
          `${entries.size} invites of this peer can still be redeemed, the most there can be; revoke some, or give them an expiry.`,
        )
      }
      entries.set(invite.subject, { invite, seed, uses: new Map() })
      await save().catch((error: unknown) => {
        entries.delete(invite.subject)
        throw error
      })
    },
    find: (subject) => entries.get(subject),
    async use(entry, peer, membership) {
      entry.uses.set(peer, membership)
      // What is not on disk was not given: else whoever asks again would get what a crash forgets, and another would get it too.
      await save().catch((error: unknown) => {
        entry.uses.delete(peer)
        throw error
      })
    },
    printed() {
      for (const entry of [...entries.values()].reverse()) {
        if (entry.seed !== undefined && !isOver(entry)) return { ...entry, seed: entry.seed }
      }
      return undefined
    },
  }
}

function parse(stored: Uint8Array): z.output<typeof schema>['invites'] {
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(stored))).invites
  } catch (cause) {
    throw damaged(cause instanceof z.ZodError ? (cause.issues[0]?.message ?? '') : 'it is no JSON', cause)
  }
}

const damaged = (why: string, cause?: unknown) =>
  new MurmurError(
    'directory-invalid',
    `The file "invites" is damaged (${why}); restore it from a backup, or remove it: invites that were given out are then void.`,
    { cause },
  )
