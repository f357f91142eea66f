// What happens to the peers, and when: drawn from a seed, so that a run can be repeated. Times are rounds of the network, whatever they
// take here; how long something lasts is in seconds.
import { createPrng } from '../../protocol/prng.ts'

export type Disturbance =
  | { kind: 'kill'; peer: number; seconds: number }
  | { kind: 'pause'; peer: number; seconds: number }
  | { kind: 'partition'; group: number[]; seconds: number }

export interface Scale {
  /** Peers, and how some of the last of them misbehave. */
  peers: number
  attackers: readonly string[]
  rounds: number
  /** Rounds that every honest peer must aggregate in. */
  leastRounds: number
  /** How many honest peers are killed, and paused, one after the other in a drawn order, and how often the network is parted. */
  kills: number
  pauses: number
  partitions: number
  /** Bounds of the seconds that a killed peer is gone, a paused one stands still, and a partition lasts. */
  downSeconds: readonly [number, number]
  pauseSeconds: readonly [number, number]
  partitionSeconds: readonly [number, number]
  /** The task. */
  work: readonly string[]
  alpha: number
  byzantineShare: number
  /** Bounds of the time for which a round waits for updates that are missing: some always are. A restart takes about as long. */
  gatherSeconds: readonly [number, number]
  /** Seconds that one run may take, and that may pass without any honest peer ending a round. */
  seconds: number
  stallSeconds: number
}

/** Rounds left in peace: the network comes together before, and what was lost is caught up with after. */
const QUIET_ROUNDS = { before: 2, after: 4 }

/** Disturbances in the order in which they begin, spread evenly over the rounds. */
export function planOf(scale: Scale, seed: number): { at: number; disturbance: Disturbance }[] {
  const prng = createPrng(`${seed} chaos`)
  const between = ([least, most]: readonly [number, number]) => least + (most - least) * prng.next()
  const peers = Array.from({ length: scale.peers }, (_, i) => i + 1)
  const honest = peers.slice(0, scale.peers - scale.attackers.length)
  const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
  /** Victims of one kind: each once before anyone again. */
  const victims = () => {
    const order = prng.shuffle([...honest])
    return (i: number) => order[i % order.length]!
  }
  const [killed, paused] = [victims(), victims()]
  const disturbances: Disturbance[] = [
    ...times(scale.kills, (i): Disturbance => ({ kind: 'kill', peer: killed(i), seconds: between(scale.downSeconds) })),
    ...times(scale.pauses, (i): Disturbance => ({ kind: 'pause', peer: paused(i), seconds: between(scale.pauseSeconds) })),
    ...times(scale.partitions, (): Disturbance => {
      const size = 2 + prng.int((scale.peers >> 1) - 1)
      return { kind: 'partition', group: prng.shuffle([...peers]).slice(0, size), seconds: between(scale.partitionSeconds) }
    }),
  ]
  prng.shuffle(disturbances)
  const span = scale.rounds - QUIET_ROUNDS.before - QUIET_ROUNDS.after
  return disturbances.map((disturbance, i) => ({
    at: QUIET_ROUNDS.before + Math.floor((i * span) / disturbances.length),
    disturbance,
  }))
}
