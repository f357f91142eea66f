// A bound on what is asked of one peer at a time, however many pulls want something of it.
import type { PeerId } from '../../protocol/identity.ts'

export interface Lanes {
  /** Runs `work` once fewer than the bound are running for this peer. Rejects with the signal's reason if aborted while waiting. */
  run<T>(peer: PeerId, signal: AbortSignal, work: () => Promise<T>): Promise<T>
}

export function createLanes(bound: number): Lanes {
  const peers = new Map<PeerId, { running: number; waiting: (() => void)[] }>()
  return {
    async run(peer, signal, work) {
      const lane = peers.get(peer) ?? { running: 0, waiting: [] }
      peers.set(peer, lane)
      if (lane.running >= bound) {
        await new Promise<void>((resolve, reject) => {
          const go = () => {
            signal.removeEventListener('abort', leave)
            resolve()
          }
          const leave = () => {
            lane.waiting = lane.waiting.filter((other) => other !== go)
            reject(signal.reason)
          }
          lane.waiting.push(go)
          signal.addEventListener('abort', leave, { once: true })
        })
      } else {
        lane.running++
      }
      try {
        signal.throwIfAborted()
        return await work()
      } finally {
        // The place passes on to the one that has waited longest.
        const next = lane.waiting.shift()
        if (next !== undefined) next()
        else lane.running--
        if (lane.running === 0) peers.delete(peer)
      }
    },
  }
}
