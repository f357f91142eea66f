// How much of what neighbours hand over is looked at: floods are to be cheap, and held against who makes them, never against who passes on
// what it had no reason to refuse.
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../ports.ts'
import { createRateLimit } from '../rate-limit.ts'

/**
 * An honest neighbour passes on of one author what it takes in itself, which is bounded as it is here. In any span of time that can arrive
 * late, or together: twice as much cannot.
 */
const SLACK = 2
/** Pairs of neighbour and author that are watched at a time: sixteen neighbours that pass on everyone's. */
const PAIRS = 16 * LIMITS.members

export interface FloodGuard {
  /** Counts a message that no member can have signed; false where this neighbour has brought too many. */
  takeStrange(from: PeerId): boolean
  /** Counts one of which nothing comes, so that its signature need not be checked; false where it has to be, to know whose fault it is. */
  takeUnproven(from: PeerId): boolean
  /** Counts a record that names this author; false where this neighbour has brought more than it can have taken in itself. */
  takePassedOn(from: PeerId, author: PeerId): boolean
  /** Whether one more record of this author would be taken in. */
  hasRoom(author: PeerId): boolean
  /** Counts a record that this author has signed; false where it has signed too many of late. */
  takeSigned(author: PeerId): boolean
}

export function createFloodGuard(clock: Clock): FloodGuard {
  const { messagesPerSecond, messagesBurst, recordsPerSecond, recordsBurst, members: keys } = LIMITS
  const messages = { perSecond: messagesPerSecond, burst: messagesBurst, keys }
  const strange = createRateLimit(messages, clock)
  const unproven = createRateLimit(messages, clock)
  const signed = createRateLimit({ perSecond: recordsPerSecond, burst: recordsBurst, keys }, clock)
  const passedOn = createRateLimit({ perSecond: SLACK * recordsPerSecond, burst: SLACK * recordsBurst, keys: PAIRS }, clock)
  return {
    takeStrange: (from) => strange.take(from),
    takeUnproven: (from) => unproven.take(from),
    takePassedOn: (from, author) => passedOn.take(`${from} ${author}`),
    hasRoom: (author) => signed.has(author),
    takeSigned: (author) => signed.take(author),
  }
}
