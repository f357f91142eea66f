// How many payloads are pulled at a time. More would share one link, one processor and one memory, and all of them would come late.

import type { Clock } from '../ports.ts'
import { untilAborted } from './deadline.ts'

/** Milliseconds without a chunk after which a pull does not count any more: whoever withholds its payload must not keep others' waiting. */
const QUIET_MILLIS = 2000

export interface Turn {
  /** Something came. */
  progress(): void
  end(): void
}

export interface Turns {
  /** Resolves when it is the caller's turn, in the order of the calls. Rejects with the signal's reason if aborted before. */
  begin(signal: AbortSignal): Promise<Turn>
}

/** @param most turns at a time in which something comes */
export function createTurns(most: number, clock: Clock): Turns {
  /** When something came last. */
  const turns = new Map<Turn, number>()
  let waiting: (() => void)[] = []
  let cancel: (() => void) | undefined

  function look(): void {
    const isBusy = () => [...turns.values()].filter((last) => clock.now() - last < QUIET_MILLIS).length >= most
    while (waiting.length > 0 && !isBusy()) waiting.shift()?.()
    if (waiting.length === 0) {
      cancel?.()
      cancel = undefined
    } else cancel ??= lookLater()
  }

  function lookLater(): () => void {
    const due = clock.now() + QUIET_MILLIS / 2
    return clock.after(QUIET_MILLIS / 2, () => {
      cancel = undefined
      // This process stood still for as long: what came meanwhile has not been read.
      const late = clock.now() - due
      for (const [turn, last] of turns) turns.set(turn, last + late)
      look()
    })
  }

  function start(): Turn {
    const turn: Turn = {
      progress: () => void turns.set(turn, clock.now()),
      end() {
        turns.delete(turn)
        look()
      },
    }
    turn.progress()
    return turn
  }

  return {
    async begin(signal) {
      signal.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<Turn>()
      const go = () => resolve(start())
      waiting.push(go)
      look()
      try {
        return await untilAborted(promise, signal)
      } catch (error) {
        // Its turn may have come in the same moment.
        if (waiting.includes(go)) waiting = waiting.filter((other) => other !== go)
        else (await promise).end()
        throw error
      }
    },
  }
}
