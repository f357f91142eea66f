// The system's clock behind the port.
import type { Clock } from '../ports.ts'

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(millis, fn) {
    const timer = setTimeout(fn, millis)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
