// Who may gossip with this peer, and what is held against whom: the gate, and blame that fades. The same over libp2p and the lab's bus.
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { forgetOldest } from '../forget-oldest.ts'
import type { Clock, Gate } from '../ports.ts'

/** Below this score a peer is not listened to at all, as gossipsub means it. */
export const GRAYLIST_SCORE = -80
/** Of those who are not members: no good behaviour makes up for it. */
const STRANGER_SCORE = -1e6
/** What one thing held against a peer costs it: with the fifth in a row it is not listened to any more. */
const BLAME_SCORE = 20
/** The most that is held against a peer: a flooder is heard again after a quarter of an hour, and one that was merely unlucky after two minutes. */
const MOST_BLAME = 400
/** Milliseconds in which half of it is forgotten. */
const HALF_LIFE_MILLIS = 5 * 60_000

export interface Reputation {
  /** Sets the gate. Until then everyone is let in. */
  admit(gate: Gate): void
  isMember(peer: PeerId): boolean
  blame(peer: PeerId): void
  /** 0 for a member against whom nothing is held; far below the graylist for a stranger. */
  score(peer: PeerId): number
  isHeard(peer: PeerId): boolean
}

export function createReputation(clock: Clock): Reputation {
  let gate: Gate | undefined
  const blamed = new Map<PeerId, { blame: number; at: number }>()

  const isMember = (peer: PeerId): boolean => gate === undefined || gate.isMember(peer)

  function blameOf(peer: PeerId): number {
    const entry = blamed.get(peer)
    return entry === undefined ? 0 : entry.blame * 2 ** ((entry.at - clock.now()) / HALF_LIFE_MILLIS)
  }

  function score(peer: PeerId): number {
    if (!isMember(peer)) return STRANGER_SCORE
    const blame = blameOf(peer)
    return blame < 1 ? 0 : -blame
  }

  return {
    admit: (next) => {
      gate = next
    },
    isMember,
    blame(peer) {
      const blame = Math.min(MOST_BLAME, blameOf(peer) + BLAME_SCORE)
      blamed.delete(peer)
      blamed.set(peer, { blame, at: clock.now() })
      // The one blamed longest ago is forgotten first.
      forgetOldest(blamed, LIMITS.members)
    },
    score,
    isHeard: (peer) => score(peer) >= GRAYLIST_SCORE,
  }
}
