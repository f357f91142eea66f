// Something costly, such as a thread: begun with the first use, ended when nobody has used it for a while, and begun again.
import { MurmurError } from '../protocol/errors.ts'

/** Milliseconds: longer than a round gathers, so that only who has nothing more to do ends anything. */
const REST_MILLIS = 60_000

export interface Resting<T> {
  /** Runs `work` with it. @throws worker-failed after `stop` */
  use<R>(work: (it: T) => Promise<R>): Promise<R>
  /** Ends it once what uses it is done. */
  stop(): Promise<void>
}

export function resting<T extends { stop(): Promise<void> }>(begin: () => T, restMillis = REST_MILLIS): Resting<T> {
  let awake: T | undefined
  let users = 0
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  const ending = new Set<Promise<void>>()

  function end(): void {
    clearTimeout(timer)
    if (awake === undefined) return
    const ended = awake.stop()
    awake = undefined
    ending.add(ended)
    ended.finally(() => ending.delete(ended))
  }

  return {
    async use(work) {
      if (stopped) throw new MurmurError('worker-failed', 'A thread was asked for work after it was stopped.')
      clearTimeout(timer)
      awake ??= begin()
      users++
      try {
        return await work(awake)
      } finally {
        users--
        if (users === 0 && !stopped) timer = setTimeout(end, restMillis).unref()
      }
    },
    async stop() {
      stopped = true
      end()
      await Promise.all(ending)
    },
  }
}
