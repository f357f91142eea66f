// How many steps to run at once: long enough that a run's fixed cost is nothing, short enough to be stopped soon.

/** Milliseconds of a run. A thread inside one hears no cancellation and cannot be ended. */
const RUN_MILLIS = 100
/** Steps of a run; bounds the index that is built for it. */
const RUN_STEPS = 4096

export interface Pace {
  /** Steps of the next run, at least one, given what is left of the work and of the time. */
  next(stepsLeft: number, millisLeft: number): number
  /** Takes note of a run. */
  ran(steps: number, millis: number): void
}

/** Kept over calls, so that only a worker's very first run is a single step. */
export function createPace(): Pace {
  let stepMillis: number | undefined
  return {
    next(stepsLeft, millisLeft) {
      if (stepMillis === undefined) return 1
      const steps = Math.floor(Math.min(RUN_MILLIS, millisLeft) / stepMillis)
      return Math.max(1, Math.min(steps, stepsLeft, RUN_STEPS))
    },
    ran(steps, millis) {
      const measured = Math.max(millis / steps, 1e-3)
      // The first run also allocates; later ones correct it step by step.
      stepMillis = stepMillis === undefined ? measured : 0.5 * stepMillis + 0.5 * measured
    },
  }
}
