// Where to join, as a person gives it: a join line, or an address.
import { MurmurError } from '../../protocol/errors.ts'
import { decodeJoinLine, isJoinLine, type JoinLine } from '../../protocol/join-line.ts'
import type { Hash } from '../../protocol/payload.ts'

/** Where to join: addresses to dial and, from a join line, the task's id in hex and what makes its bearer a member. */
export type JoinTarget = Pick<JoinLine, 'addresses'> & Partial<JoinLine>

/** Reads what a person pasted: a join line, or one multiaddr. @throws bad-join-line */
export function parseJoinTarget(text: string, hash: Hash): JoinTarget {
  const given = text.trim()
  if (isJoinLine(given) || given.includes('murmur1-')) {
    // People paste the whole command that was printed.
    return decodeJoinLine(given.split(/\s+/).find((word) => word.startsWith('murmur1-')) ?? given, hash)
  }
  if (given.startsWith('/')) return { addresses: [given] }
  throw new MurmurError(
    'bad-join-line',
    `"${given.slice(0, 60)}" is neither a join line (murmur1-…) nor a multiaddr (/ip4/…/tcp/…/p2p/…); paste the line that \`murmur start\` printed.`,
  )
}
