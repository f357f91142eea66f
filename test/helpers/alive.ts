// Peers' own timers do not keep a process alive; a test that waits for one must.
import type { Test } from 'tap'

export function keepAlive(t: Pick<Test, 'teardown'>): void {
  const alive = setInterval(() => {}, 1 << 30)
  t.teardown(() => clearInterval(alive))
}
