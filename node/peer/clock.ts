// The system's clock behind the port.
import type { Clock } from '../ports.ts'

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(millis, fn) {
    // Node's timers may fire up to a millisecond before `now` says that the time has come.
    const timer = setTimeout(fn, Math.ceil(millis) + 1)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
