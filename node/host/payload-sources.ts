// Other peers as sources of payloads: who said that it holds what, who delivers how fast, and who sent wrong bytes.
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { forgetOldest } from '../forget-oldest.ts'
import type { Clock } from '../ports.ts'

/** Payloads that one peer is remembered to hold: more than it gets in the rounds that still count. */
const HELD_BY_ONE = 256
/** Payloads with bad chunks after which a peer is not used at all any more. */
const LIES = 3
/** Milliseconds over which a rate is measured: at the slowest one, four chunks that are asked for at once take as long. */
const WINDOW_MILLIS = (1000 * LIMITS.chunksInFlight * LIMITS.chunkBytes) / LIMITS.slowestBytesPerSecond
/** A source is quiet after so many times the usual wait for a chunk: four come together, so that the next waits are long. */
const QUIET_FACTOR = 8
const QUIET_MILLIS = { first: 2000, least: 1000, most: 8000 }
/** Milliseconds between two looks at the sources, while any is asked: after a longer time this process stood still, and heard nobody. */
export const LOOK_MILLIS = 500
/** Weight of the newest wait in the usual one. */
const NEWEST = 0.1

export interface Sources {
  /** It said that it holds these. */
  told(peer: PeerId, roots: readonly string[]): void
  /** It said that it does not. */
  refused(peer: PeerId, root: string): void
  isHolder(peer: PeerId, root: string): boolean
  /** It sent wrong bytes. */
  lied(peer: PeerId, root: string): void
  isUsable(peer: PeerId, root: string): boolean
  /** Asks a peer from now on, until the returned function is called. */
  ask(peer: PeerId): () => void
  /** Peers that are asked now. */
  asked(): number
  /** Pulls that ask this peer now. */
  load(peer: PeerId): number
  /** A chunk came. */
  got(peer: PeerId, bytes: number): void
  /** It delivers less than the slowest rate, or than its share of that where more peers are asked: the own link may be the slow one. */
  isSlow(peer: PeerId): boolean
  /** No chunk has come for far longer than usual. */
  isQuiet(peer: PeerId): boolean
}

export function createSources(clock: Clock): Sources {
  const held = new Map<PeerId, Set<string>>()
  const lies = new Map<PeerId, Set<string>>()
  const asked = new Map<PeerId, { pulls: number; last: number; mark: number; bytes: number }>()
  let usual: number | undefined
  let looked = 0

  /** What this process slept through is nobody's slowness. */
  function look(): void {
    const slept = clock.now() - looked - 2 * LOOK_MILLIS
    looked = clock.now()
    if (slept <= 0) return
    for (const source of asked.values()) {
      source.last += slept
      source.mark += slept
    }
  }

  /** The set of a peer; the peers that were not heard of for longest are forgotten. */
  function setOf(sets: Map<PeerId, Set<string>>, peer: PeerId): Set<string> {
    const set = sets.get(peer) ?? new Set()
    sets.delete(peer)
    sets.set(peer, set)
    forgetOldest(sets, LIMITS.members)
    return set
  }

  return {
    told(peer, roots) {
      const set = setOf(held, peer)
      for (const root of roots) set.delete(root)
      for (const root of roots) set.add(root)
      forgetOldest(set, HELD_BY_ONE)
    },
    refused: (peer, root) => void held.get(peer)?.delete(root),
    isHolder: (peer, root) => held.get(peer)?.has(root) ?? false,
    lied(peer, root) {
      const set = setOf(lies, peer)
      if (set.size < LIES) set.add(root)
    },
    isUsable(peer, root) {
      const set = lies.get(peer)
      return set === undefined || (set.size < LIES && !set.has(root))
    },
    ask(peer) {
      const now = clock.now()
      if (asked.size === 0) looked = now
      const source = asked.get(peer) ?? { pulls: 0, last: now, mark: now, bytes: 0 }
      asked.set(peer, source)
      source.pulls++
      return () => void (--source.pulls === 0 && asked.delete(peer))
    },
    asked: () => asked.size,
    load: (peer) => asked.get(peer)?.pulls ?? 0,
    got(peer, bytes) {
      const source = asked.get(peer)
      if (source === undefined) return
      const wait = clock.now() - source.last
      usual = usual === undefined ? wait : usual + NEWEST * (wait - usual)
      source.last = clock.now()
      source.bytes += bytes
    },
    isSlow(peer) {
      look()
      const source = asked.get(peer)
      if (source === undefined || clock.now() - source.mark < WINDOW_MILLIS) return false
      const rate = (1000 * source.bytes) / (clock.now() - source.mark)
      if (rate < LIMITS.slowestBytesPerSecond / asked.size) return true
      Object.assign(source, { mark: clock.now(), bytes: 0 })
      return false
    },
    isQuiet(peer) {
      look()
      const source = asked.get(peer)
      const { first, least, most } = QUIET_MILLIS
      const patience = usual === undefined ? first : Math.min(most, Math.max(least, QUIET_FACTOR * usual))
      return source !== undefined && clock.now() - source.last >= patience
    },
  }
}
