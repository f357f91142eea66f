// What a peer that may invite and revoke sees to while it runs: that its printed line lets others in, and that nobody who was revoked comes
// back with the end of the admin who did it.
import { asMurmurError, type MurmurError } from '../../protocol/errors.ts'
import type { Clock } from '../ports.ts'
import { signerOfSeed } from '../store/identity.ts'
import type { Admission } from './admission.ts'
import { keptInvite } from './join-lines.ts'
import type { MemberBook } from './member-book.ts'

/** Milliseconds between two looks. */
const LOOK_MILLIS = 60_000

export interface UpkeepParts {
  admission: Pick<Admission, 'printed' | 'invite' | 'takeOver'>
  book: MemberBook
  self: string
  clock: Clock
  /** The printed line holds another invite from now on. */
  onLine: (why: string) => void
  onWarning: (error: MurmurError) => void
}

/** Returns what ends it. */
export function keepUp(parts: UpkeepParts): () => void {
  const { admission, book, self, clock, onLine, onWarning } = parts
  let kept = admission.printed()
  let cancel = () => {}
  let stopped = false

  async function renew(): Promise<void> {
    const now = admission.printed()
    if (now === undefined && kept !== undefined && book.roleOf(self) === 'admin') {
      const { key, expiresAt } = kept
      const isExpired = expiresAt !== undefined && clock.wall() / 1000 > expiresAt
      const why = book.revoked().has(signerOfSeed(key).peerId) ? 'was revoked' : isExpired ? 'has expired' : 'is used up'
      await keptInvite(admission, book, self, clock.wall())
      onLine(`The invite in the line that this peer gave out ${why}; others join with a new line from now on.`)
    }
    kept = admission.printed() ?? kept
  }

  async function look(): Promise<void> {
    for (const step of [admission.takeOver, renew]) {
      try {
        await step()
      } catch (error) {
        onWarning(asMurmurError(error))
      }
    }
    if (!stopped) cancel = clock.after(LOOK_MILLIS, look)
  }
  // What lapsed while no such peer ran is taken over at once.
  void look()
  return () => {
    stopped = true
    cancel()
  }
}
