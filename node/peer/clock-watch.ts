// Notices that this process stood still: stopped by a signal, or suspended with its machine. What it knows of others is old then.
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../ports.ts'

/** How often it looks: often enough that a leap is told from ordinary lateness. */
const LOOK_MILLIS = 2000

export interface ClockWatch {
  /** Looks now: before anything that depends on the time, for overdue timers and messages come in any order. */
  look(): void
  stop(): void
}

/** `onLeap` is told how far the monotonic clock had run on meanwhile: not at all where it is suspended with the machine. */
export function watchClock(clock: Clock, onLeap: (millis: number) => void): ClockWatch {
  let due = { now: 0, wall: 0 }
  let cancel = () => {}

  function arm(): void {
    cancel()
    due = { now: clock.now() + LOOK_MILLIS, wall: clock.wall() + LOOK_MILLIS }
    cancel = clock.after(LOOK_MILLIS, () => {
      look()
      arm()
    })
  }

  // Lateness of a timer, not the distance between two looks: a virtual clock advances in large steps and is never late.
  function look(): void {
    const late = clock.now() - due.now
    // The monotonic clock may stand still while the machine is suspended; the wall clock does not.
    if (Math.max(late, clock.wall() - due.wall) <= LIMITS.clockLeapMillis) return
    arm()
    onLeap(Math.max(0, late))
  }

  arm()
  return { look, stop: () => cancel() }
}
