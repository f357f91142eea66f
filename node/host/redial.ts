// Keeps one link up for life. libp2p's own bootstrap dials once and never again, so a peer that starts before its
// bootstrap, or whose bootstrap restarts, would stay alone for ever.
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { Clock, Network } from '../ports.ts'
import { whyOf } from './why.ts'

/** Milliseconds: the least and the most between two attempts. */
const FIRST_WAIT = 250
const LONGEST_WAIT = 10_000
/** A lost peer is often lost by both sides at once: they should not dial each other at the same instant. */
const LOST_WAIT = 100
/** Milliseconds that a link lasts at least where it is wanted: who refuses a peer can say so only after the dial has succeeded. */
const STEADY_MILLIS = 1000

/** Exponential backoff with equal jitter: `attempt` 1 waits 250 to 500 ms, from the sixth on 5 to 10 s. `random` is uniform in [0, 1). */
export function backoffMillis(attempt: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(attempt, 30))
  return Math.round(ceiling / 2 + (random() * ceiling) / 2)
}

export interface Link {
  /** One attempt, or the connection that is there; bounded in time. A MurmurError says that no further attempt can help. */
  dial(signal: AbortSignal): Promise<PeerId>
  /** Resolves when the peer is not connected any more. */
  lost(peer: PeerId, signal: AbortSignal): Promise<void>
}

type ConnectOptions = NonNullable<Parameters<Network['connect']>[1]>

/**
 * Dials until `signal` is aborted, again whenever the link is lost; resolves with the peer's id when first connected.
 * @throws cancelled, and what `dial` throws as a MurmurError
 */
export function keepConnected(
  link: Link,
  parts: { clock: Clock; random: () => number; signal: AbortSignal; onRetry?: ConnectOptions['onRetry'] },
): Promise<PeerId> {
  const { clock, random, signal, onRetry } = parts
  const { promise, resolve, reject } = Promise.withResolvers<PeerId>()

  async function run(): Promise<void> {
    for (let attempt = 1; !signal.aborted; ) {
      let why: string
      try {
        const peer = await link.dial(signal)
        resolve(peer)
        const since = clock.now()
        await link.lost(peer, signal)
        if (clock.now() - since >= STEADY_MILLIS) {
          attempt = 1
          await pause(clock, LOST_WAIT * (0.5 + random()), signal)
          continue
        }
        why = 'it closes the connection at once: it is full, stopping, or does not let this peer in'
      } catch (error) {
        if (isMurmurError(error) && !signal.aborted) throw error
        why = whyOf(error)
      }
      if (signal.aborted) break
      const wait = backoffMillis(attempt, random)
      onRetry?.(attempt, wait, why)
      await pause(clock, wait, signal)
      attempt++
    }
    throw new MurmurError('cancelled', 'Connecting was stopped on request.')
  }
  run().catch(reject)
  return promise
}

/** Resolves after `millis`, or at once when aborted. */
export function pause(clock: Clock, millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const end = () => {
      cancel()
      signal.removeEventListener('abort', end)
      resolve()
    }
    const cancel = clock.after(millis, end)
    signal.addEventListener('abort', end, { once: true })
  })
}
