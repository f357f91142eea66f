// Time for a whole network in one process: it passes only when told to, and what falls due runs in one fixed order.
import type { Clock } from '../ports.ts'

export interface VirtualClock extends Clock {
  /** Lets `millis` pass, running what falls due; promises settle in between. */
  advance(millis: number): Promise<void>
  /** Lets time pass from one due timer to the next until `done()`, for at most `millis`; false if it was not done by then. */
  runUntil(done: () => boolean, millis?: number): Promise<boolean>
  /** Time stands still while `work` goes on: for what takes real time, such as a worker thread. Returns `work`. */
  hold<T>(work: Promise<T>): Promise<T>
  /** Timers that are waiting. */
  pending(): number
}

interface Timer {
  at: number
  /** Timers of one instant run in the order they were set. */
  order: number
  fn: (() => void) | undefined
}

/** `wallMillis` is what `wall()` says at time 0. */
export function createVirtualClock(wallMillis = 0): VirtualClock {
  const heap: Timer[] = []
  let now = 0
  let order = 0
  let live = 0
  const held = new Set<Promise<unknown>>()

  const before = (a: Timer, b: Timer) => a.at < b.at || (a.at === b.at && a.order < b.order)

  function push(timer: Timer): void {
    let i = heap.push(timer) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (before(heap[parent]!, timer)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = timer
  }

  function pop(): void {
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (before(last, heap[child]!)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }

  /** The next timer that was not cancelled. */
  function next(): Timer | undefined {
    while (heap.length > 0 && heap[0]?.fn === undefined) pop()
    return heap[0]
  }

  /** A turn of the event loop runs every promise that is ready, and those that follow from them. */
  async function settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    while (held.size > 0) {
      await Promise.allSettled(held)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async function run(until: number, done: () => boolean): Promise<boolean> {
    await settle()
    while (!done()) {
      const timer = next()
      if (timer === undefined || timer.at > until) return false
      pop()
      now = Math.max(now, timer.at)
      const { fn } = timer
      timer.fn = undefined
      live--
      fn?.()
      await settle()
    }
    return true
  }

  return {
    now: () => now,
    wall: () => wallMillis + now,
    after(millis, fn) {
      const timer: Timer = { at: now + Math.max(0, millis), order: order++, fn }
      push(timer)
      live++
      return () => {
        if (timer.fn === undefined) return
        timer.fn = undefined
        live--
      }
    },
    async advance(millis) {
      const end = now + millis
      await run(end, () => false)
      now = Math.max(now, end)
    },
    async runUntil(done, millis = Number.POSITIVE_INFINITY) {
      const end = now + millis
      const reached = await run(end, done)
      if (!reached && Number.isFinite(end)) now = Math.max(now, end)
      return reached
    },
    hold(work) {
      held.add(work)
      const release = () => void held.delete(work)
      work.then(release, release)
      return work
    },
    pending: () => live,
  }
}
