// Peers that come and go: in each round a share of the honest ones stops, and comes back in the next one.
import { createPrng } from '../../../protocol/prng.ts'
import type { Clock } from '../../ports.ts'
import type { VirtualPeer } from './virtual-peer.ts'

/** Virtual milliseconds after which they come back although the others have not ended the round: it may be that those need them. */
const AWAY_MILLIS = 40_000

export interface Churn {
  /** The first honest peer is in this round now. */
  onRound(round: number): void
  /** Nobody comes back any more. */
  end(): void
}

export function createChurn(
  share: number,
  honest: readonly VirtualPeer[],
  seed: number,
  clock: Clock,
  onFailure: (error: unknown) => void,
): Churn {
  const each = Math.round(share * honest.length)
  let away: VirtualPeer[] = []
  let cancel = () => {}
  let isOver = false

  function comeBack(): void {
    cancel()
    for (const peer of away) if (!isOver) peer.start().catch(onFailure)
    away = []
  }

  return {
    onRound(round) {
      if (each === 0 || isOver) return
      const before = new Set(away)
      comeBack()
      // Whoever was away takes part before it goes again.
      const here = honest.filter((peer) => peer.state === 'running' && !before.has(peer))
      away = createPrng(`${seed} churn ${round}`).shuffle(here).slice(0, each)
      for (const peer of away) peer.stop().catch(onFailure)
      cancel = clock.after(AWAY_MILLIS, comeBack)
    },
    end() {
      isOver = true
      cancel()
    },
  }
}
