// A process that stood still notices it, and one that did not never does.
import t from 'tap'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { watchClock } from '../../node/peer/clock-watch.ts'
import type { Clock } from '../../node/ports.ts'

/** A clock whose process can be stopped: time goes on, and its timers run late. */
function stoppable() {
  const virtual = createVirtualClock(Date.UTC(2026, 0, 1))
  let stopped = false
  let wallAhead = 0
  const late: (() => void)[] = []
  const clock: Clock = {
    now: virtual.now,
    wall: () => virtual.wall() + wallAhead,
    after: (millis, fn) => virtual.after(millis, () => (stopped ? late.push(fn) : fn())),
  }
  const leaps: number[] = []
  const watch = watchClock(clock, (millis) => leaps.push(millis))
  return {
    virtual,
    leaps,
    watch,
    async stop(millis: number) {
      stopped = true
      await virtual.advance(millis)
      stopped = false
    },
    runLate: () => late.splice(0).map((fn) => fn()),
    /** The monotonic clock stands still with the machine. */
    suspend: (millis: number) => {
      wallAhead += millis
    },
  }
}

t.test('a stopped process notices by its timers, which run late, and once', async (t) => {
  const process = stoppable()
  await process.virtual.advance(10_000)
  await process.stop(60_000)
  process.runLate()
  t.equal(process.leaps.length, 1)
  t.ok(process.leaps[0]! > 55_000 && process.leaps[0]! <= 60_000)
  await process.virtual.advance(60_000)
  t.equal(process.leaps.length, 1)
  await process.stop(30_000)
  process.runLate()
  t.equal(process.leaps.length, 2, 'and again the next time')
})

t.test('a message that arrives before the overdue timers is enough to notice', async (t) => {
  const process = stoppable()
  await process.stop(20_000)
  process.watch.look()
  t.equal(process.leaps.length, 1)
  process.runLate()
  t.equal(process.leaps.length, 1)
})

t.test('a suspended machine is noticed by the wall clock where the monotonic one stood still', async (t) => {
  const process = stoppable()
  process.suspend(3_600_000)
  await process.virtual.advance(2000)
  t.same(process.leaps, [0])
})

t.test('large steps of a virtual clock, and ordinary lateness, are no leaps', async (t) => {
  const process = stoppable()
  await process.virtual.advance(10_000_000)
  await process.stop(4000)
  process.runLate()
  process.suspend(-3_600_000)
  await process.virtual.advance(10_000)
  t.same(process.leaps, [])
  process.watch.stop()
  t.equal(process.virtual.pending(), 0)
})
