// Memory that workers see too, used again: round after round a peer pulls payloads of the same length and hands them to a worker, and pages fresh
// from the system cost more than all else that is done with a payload.
import type { Clock } from './ports.ts'

/** Bytes that lie ready at most. */
const FREE_BYTES = 64 * 1024 * 1024
/** Milliseconds after which memory that nobody took goes back to the system: an idle peer holds none. */
const FREE_MILLIS = 60_000

export interface SharedMemory {
  /** As many bytes as asked for, whatever is in them; shared, so that a worker reads them where they are. */
  take(length: number): Uint8Array
  /** To be called once nobody reads or writes them any more. */
  giveBack(bytes: Uint8Array): void
}

export function createSharedMemory(clock: Clock): SharedMemory {
  /** Longest unused first. */
  const free = new Map<Uint8Array, () => void>()

  function drop(bytes: Uint8Array): void {
    free.get(bytes)?.()
    free.delete(bytes)
  }

  return {
    take(length) {
      const ready = [...free.keys()].findLast((bytes) => bytes.length === length)
      if (ready === undefined) return new Uint8Array(new SharedArrayBuffer(length))
      drop(ready)
      return ready
    },
    giveBack(bytes) {
      free.set(
        bytes,
        clock.after(FREE_MILLIS, () => drop(bytes)),
      )
      let total = [...free.keys()].reduce((sum, { length }) => sum + length, 0)
      for (const old of [...free.keys()]) {
        if (total <= FREE_BYTES) break
        total -= old.length
        drop(old)
      }
    },
  }
}
