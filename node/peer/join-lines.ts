// The lines that this peer gives out: the task, where members can be met at this moment, and what lets their bearer in.
import type { PeerId } from '../../protocol/identity.ts'
import { encodeJoinLine, JOIN_LINE_ADDRESSES, type JoinLine } from '../../protocol/join-line.ts'
import type { Hash } from '../../protocol/payload.ts'
import type { Task } from '../../protocol/task.ts'
import { isLocalAddress } from '../host/addresses.ts'
import type { Network } from '../ports.ts'
import type { Admission } from './admission.ts'
import type { MemberBook } from './member-book.ts'

/** Own addresses in a line where other members' are known too: a line outlives the machine that printed it. */
const OWN_ADDRESSES = 2
/** The invite in the line that `start` prints. */
const KEPT_USES = 20
const KEPT_SECONDS = 7 * 24 * 3600

export interface JoinLines {
  /** The line that `start` prints; empty as long as no address is known that others can dial. */
  printed(): string
  /** One with something of its own in it; empty as above. */
  with(extra: Pick<JoinLine, 'invite' | 'key' | 'membership'>): string
}

export function createJoinLines(parts: {
  network: Pick<Network, 'addresses'>
  task: Pick<Task, 'hex'>
  hash: Hash
  printed: Admission['printed']
  /** One address of each connected member. */
  known: () => string[]
}): JoinLines {
  const lineWith: JoinLines['with'] = (extra) => {
    const addresses = lineAddresses(parts.network.addresses(), parts.known())
    return addresses.length === 0 ? '' : encodeJoinLine({ task: parts.task.hex, addresses, ...extra }, parts.hash)
  }
  return {
    with: lineWith,
    printed() {
      const kept = parts.printed()
      return lineWith(kept === undefined ? {} : { invite: kept.invite, key: kept.key })
    },
  }
}

/** Own addresses first; those of this machine alone only where there are no others. */
export function lineAddresses(own: readonly string[], known: readonly string[]): string[] {
  const remote = own.filter((address) => !isLocalAddress(address))
  const mine = remote.length > 0 ? remote : own
  const others = known.filter((address) => remote.length === 0 || !isLocalAddress(address))
  return [...new Set([...mine.slice(0, OWN_ADDRESSES), ...others, ...mine])].slice(0, JOIN_LINE_ADDRESSES)
}

/**
 * Sees to it that an admin's printed line holds an invite, made once and kept; says how others join.
 * @throws bad-argument where the clock is absurd, disk-failed
 */
export async function keptInvite(
  admission: Pick<Admission, 'printed' | 'invite'>,
  book: MemberBook,
  self: PeerId,
  now: number,
): Promise<string | undefined> {
  if (book.mode === 'open') return undefined
  if (book.roleOf(self) !== 'admin') return 'Others join by invitation: an admin of the network makes one with `npx murmur invite`.'
  if (admission.printed() === undefined) {
    await admission.invite({ uses: KEPT_USES, role: 'peer', expiresAt: Math.floor(now / 1000) + KEPT_SECONDS }, true)
  }
  const kept = admission.printed()
  if (kept === undefined) return undefined
  const { left, expiresAt = 0 } = kept
  return `The line is an invite: ${left} of ${KEPT_USES} uses are left, until ${new Date(1000 * expiresAt).toISOString().slice(0, 16)}Z, while this peer runs. More with \`npx murmur invite\`.`
}
