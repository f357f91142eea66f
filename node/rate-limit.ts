// A token bucket for each of many peers: how much each may do a second, and at once. Bounded, and exact by the clock that it is given.
import { forgetOldest } from './forget-oldest.ts'
import type { Clock } from './ports.ts'

export interface RateLimit {
  /** Counts `amount` against `key`; false where that is more than it may do now. */
  take(key: string, amount?: number): boolean
  /** Whether `take` would say yes, without counting anything. */
  has(key: string, amount?: number): boolean
}

/** Keeps at most `keys` buckets; those that are full again say nothing and are dropped first, then the ones not used for longest. */
export function createRateLimit(rate: { perSecond: number; burst: number; keys: number }, clock: Clock): RateLimit {
  const { perSecond, burst, keys } = rate
  const buckets = new Map<string, { left: number; at: number }>()

  const leftIn = ({ left, at }: { left: number; at: number }, now: number) => Math.min(burst, left + ((now - at) / 1000) * perSecond)

  function makeRoom(now: number): void {
    if (buckets.size < keys) return
    for (const [key, bucket] of buckets) if (leftIn(bucket, now) >= burst) buckets.delete(key)
    // Every use inserts anew.
    forgetOldest(buckets, keys - 1)
  }

  function leftOf(key: string, now: number): number {
    const bucket = buckets.get(key)
    return bucket === undefined ? burst : leftIn(bucket, now)
  }

  return {
    has: (key, amount = 1) => leftOf(key, clock.now()) >= amount,
    take(key, amount = 1) {
      const now = clock.now()
      const left = leftOf(key, now)
      if (!buckets.has(key)) makeRoom(now)
      buckets.delete(key)
      const allowed = left >= amount
      buckets.set(key, { left: allowed ? left - amount : left, at: now })
      return allowed
    },
  }
}
