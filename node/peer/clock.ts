// The system's clock behind the port.
import type { Clock } from '../ports.ts'

/** Milliseconds that a timer of Node's can wait; beyond it would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(millis, fn) {
    // Node's timers may fire up to a millisecond before `now` says that the time has come.
    const timer = setTimeout(fn, Math.min(Math.ceil(millis) + 1, LONGEST_TIMER))
    timer.unref()
    return () => clearTimeout(timer)
  },
}
