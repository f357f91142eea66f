// Word of payloads that this peer now holds, told in batches to a few neighbours, so that not everyone asks their author.
import type { PeerId } from '../../protocol/identity.ts'
import type { Clock } from '../ports.ts'

/** Milliseconds for which word is gathered: a round's payloads come close together. */
const GATHER_MILLIS = 200
/** Neighbours told: each payload then has several known holders at every peer, for a thirtieth of what telling all would cost. */
const TOLD = 8

export interface Holding {
  add(root: Uint8Array): void
}

interface Word {
  peers: PeerId[]
  /** A number by which peers are picked. */
  rank(peer: PeerId, text: string): number
  tell(peer: PeerId): Promise<unknown>
}

/** @param most roots told at a time */
export function createHolding(clock: Clock, most: number, wordOf: (roots: readonly Uint8Array[]) => Word): Holding {
  let gathered: Uint8Array[] = []
  let batches = 0

  function send(): void {
    const { peers, rank, tell } = wordOf(gathered.slice(0, most))
    gathered = gathered.slice(most)
    const text = `have ${batches++}`
    const ranks = new Map(peers.map((peer) => [peer, rank(peer, text)]))
    const picked = peers.toSorted((a, b) => ranks.get(a)! - ranks.get(b)!).slice(0, TOLD)
    // Word that is lost costs nothing: the author is asked.
    for (const peer of picked) tell(peer).catch(() => {})
    if (gathered.length > 0) clock.after(GATHER_MILLIS, send)
  }

  return {
    add(root) {
      gathered.push(root)
      if (gathered.length === 1) clock.after(GATHER_MILLIS, send)
    },
  }
}
