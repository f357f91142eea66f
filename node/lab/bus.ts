// The network port in memory: many peers in one process, deterministic under a virtual clock, with links that tests can cut.
import type { PeerId } from '../../protocol/identity.ts'
import { createPrng } from '../../protocol/prng.ts'
import { REPLY_BYTES } from '../host/serving.ts'
import type { Clock, Network } from '../ports.ts'
import { createFlood } from './bus-gossip.ts'
import { createLinks, type Transit, type Wires } from './bus-links.ts'
import { createNeighbours } from './bus-neighbours.ts'
import { busNetwork } from './bus-network.ts'

export type { Transit } from './bus-links.ts'

export interface BusOptions {
  clock: Clock
  /** Uniform in [0, 1); seeded by default, so that the same run gives the same jitter. */
  random?: () => number
  /** Milliseconds a message takes, for all links or for each one; default 0. */
  delayMillis?: number | ((from: PeerId, to: PeerId) => number)
  /** Who can be linked at all; default: everyone with everyone. */
  wires?: Wires
}

export interface Bus {
  /** The port of one peer. All started peers that have a wire are linked unless cut apart. */
  network(peer: PeerId): Network
  /** Links peers only within a group; those in no group form one of their own. */
  partition(groups: readonly (readonly PeerId[])[]): void
  /** Undoes partitions and cuts. */
  heal(): void
  /** Takes one link away, or gives it back. */
  cut(a: PeerId, b: PeerId): void
  mend(a: PeerId, b: PeerId): void
  /** Loses what `lose` says yes to; without an argument nothing is lost any more. */
  lose(lose?: (transit: Transit) => boolean): void
}

function createLending(): (parts: readonly Uint8Array[]) => Uint8Array {
  const memory = new Uint8Array(REPLY_BYTES)
  return (parts) => {
    let at = 0
    for (const part of parts) {
      memory.set(part, at)
      at += part.length
    }
    return memory.subarray(0, at)
  }
}

export function createBus({ clock, random = createPrng('bus').next, delayMillis = 0, wires }: BusOptions): Bus {
  const links = createLinks(clock, delayMillis, wires)
  const neighbours = createNeighbours(links, clock)
  const parts = { clock, random, links, neighbours, flood: createFlood(links, clock), lend: createLending() }
  return {
    network: (peer) => busNetwork(peer, parts),
    partition(groups) {
      links.partition(groups)
      neighbours.update()
    },
    heal() {
      links.heal()
      neighbours.update()
    },
    cut(a, b) {
      links.cut(a, b)
      neighbours.update()
    },
    mend(a, b) {
      links.mend(a, b)
      neighbours.update()
    },
    lose: (lose = () => false) => links.lose(lose),
  }
}
