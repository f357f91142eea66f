// A wait that ends: one abort signal out of a time limit and the caller's own signals, which tells afterwards which of them it was.
import type { Clock } from '../ports.ts'

/** Milliseconds counted at a time: however long this process stands still meanwhile, it is as much that the other side is charged. */
const SLICE_MILLIS = 1000
/** Milliseconds by which a timer fires late where this process was busy, and those given then to read what has come meanwhile. */
const LATE_MILLIS = 250

export interface Deadline {
  readonly signal: AbortSignal
  /** Why the wait ended early; undefined while it has not. */
  readonly why: 'timeout' | 'cancelled' | undefined
  /** Ends the watch; call it whenever the work is over. */
  clear(): void
}

/** Aborts after `millis` in which this process could have heard the answer, or as soon as one of `signals` does. */
export function deadline(clock: Clock, millis: number, ...signals: (AbortSignal | undefined)[]): Deadline {
  const controller = new AbortController()
  let why: Deadline['why']
  const end = (reason: 'timeout' | 'cancelled') => {
    if (why !== undefined) return
    why = reason
    controller.abort(new Error(reason === 'timeout' ? `no answer within ${millis} ms` : 'stopped on request'))
  }
  const onAbort = () => end('cancelled')
  const watched = signals.filter((signal) => signal !== undefined)
  for (const signal of watched) {
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
  }
  let left = millis
  /** At most twice the time in all: a process that is always busy must not wait for ever. */
  let patience = millis
  let cancelTimer = () => {}
  function wait(): void {
    const slice = Math.min(left, SLICE_MILLIS)
    const due = clock.now() + slice
    cancelTimer = clock.after(slice, () => {
      left -= slice
      if (left <= 0 && patience > 0 && clock.now() - due > LATE_MILLIS) {
        left = LATE_MILLIS
        patience -= LATE_MILLIS
      }
      if (left > 0) wait()
      else end('timeout')
    })
  }
  wait()
  return {
    signal: controller.signal,
    get why() {
      return why
    },
    clear() {
      cancelTimer()
      for (const signal of watched) signal.removeEventListener('abort', onAbort)
    },
  }
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it is aborted. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
