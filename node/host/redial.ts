// Keeps one link up for life. libp2p's own bootstrap dials once and never again, so a peer that starts before its
// bootstrap, or whose bootstrap restarts, would stay alone for ever.
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Network } from '../ports.ts'
import { whyOf } from './why.ts'

/** Milliseconds: the least and the most between two attempts at one that does not answer: it may be starting. */
const FIRST_WAIT = 250
const LONGEST_WAIT = 10_000
/** The most between two attempts at one that answers, and does not let this peer stay: only people can change that. */
const LONGEST_REFUSED_WAIT = 300_000
/** A lost peer is often lost by both sides at once: they should not dial each other at the same instant. */
const LOST_WAIT = 100
/** Milliseconds that a link lasts at least where it is wanted: who refuses a peer can say so only after the dial has succeeded, and cuts it off
 * after a stranger's time at the latest. */
export const STEADY_MILLIS = 2 * LIMITS.strangerMillis
/** The first link that ends early is no news: where a peer has just been admitted, it is made anew. */
const REFUSALS_TOLD_FROM = 2

/** Exponential backoff with equal jitter: `attempt` 1 waits 250 to 500 ms, from the sixth on 5 to 10 s. `random` is uniform in [0, 1). */
export function backoffMillis(attempt: number, random: () => number, longest = LONGEST_WAIT): number {
  const ceiling = Math.min(longest, FIRST_WAIT * 2 ** Math.min(attempt, 30))
  return Math.round(ceiling / 2 + (random() * ceiling) / 2)
}

export interface Link {
  /** One attempt, or the connection that is there; bounded in time. A MurmurError says that no further attempt can help. */
  dial(signal: AbortSignal): Promise<PeerId>
  /** Resolves when the peer is not connected any more. */
  lost(peer: PeerId, signal: AbortSignal): Promise<void>
  /** False for as long as it is not to be dialled: it was turned out of the network. */
  isWanted?(): boolean
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
  /** In a row: dials that failed, and links that ended early. */
  let failures = 0
  let refusals = 0

  /** Who lets nobody in is told of once, and then tried ever more rarely. */
  function onRefused(why: string): number {
    const wait = backoffMillis(++refusals, random, LONGEST_REFUSED_WAIT)
    if (refusals === REFUSALS_TOLD_FROM) onRetry?.(refusals, wait, `${why}; from now on it is tried ever more rarely`)
    return wait
  }

  /** One attempt and, where it succeeds, the life of the link; returns the milliseconds until the next. */
  async function attempt(): Promise<number> {
    let peer: PeerId
    try {
      peer = await link.dial(signal)
    } catch (error) {
      if (isMurmurError(error) && !signal.aborted) throw error
      const wait = backoffMillis(++failures, random)
      if (!signal.aborted) onRetry?.(failures, wait, whyOf(error))
      return wait
    }
    failures = 0
    resolve(peer)
    const since = clock.now()
    await link.lost(peer, signal)
    const lasted = clock.now() - since
    if (lasted < STEADY_MILLIS && !signal.aborted) {
      const when = lasted < 1000 ? 'at once' : `after ${Math.round(lasted / 1000)} s`
      return onRefused(`it closes the connection ${when}: it is full, stopping, or does not let this peer in`)
    }
    refusals = 0
    return LOST_WAIT * (0.5 + random())
  }

  async function run(): Promise<void> {
    let isOut = false
    while (!signal.aborted) {
      const wasOut = isOut
      isOut = link.isWanted?.() === false
      if (!isOut) {
        await pause(clock, await attempt(), signal)
        continue
      }
      const wait = LONGEST_REFUSED_WAIT * (0.5 + random() / 2)
      if (!wasOut) onRetry?.(1, wait, 'it was turned out of the network, and is left alone')
      await pause(clock, wait, signal)
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
