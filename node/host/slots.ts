// How much is done for one peer, and for all, at a time.
import type { PeerId } from '../../protocol/identity.ts'

export interface Slots {
  /** Takes a slot for `peer`; returns what gives it back, or undefined where there is none. */
  take(peer: PeerId): (() => void) | undefined
}

export function createSlots(mostOfOne: number, mostOfAll = Number.POSITIVE_INFINITY): Slots {
  const taken = new Map<PeerId, number>()
  let total = 0
  return {
    take(peer) {
      const own = taken.get(peer) ?? 0
      if (own >= mostOfOne || total >= mostOfAll) return undefined
      taken.set(peer, own + 1)
      total++
      return () => {
        total--
        const left = (taken.get(peer) ?? 1) - 1
        if (left > 0) taken.set(peer, left)
        else taken.delete(peer)
      }
    },
  }
}
