// The round machine's settings, read off the task.
import { parseRule } from '../../protocol/aggregation/index.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { RoundConfig } from '../../protocol/round/state.ts'
import { byzantineBound, faultsAmong, sampleOrder } from '../../protocol/sampling.ts'
import type { PeerParts } from './parts.ts'

/** Rounds over which a sample's promise must hold where the task sets no end. */
const ENDLESS_ROUNDS = 10_000

export function roundConfig({ task, network, random, hash, rounds }: PeerParts): RoundConfig {
  const { pace, stop, byzantineShare, rule } = task.manifest
  const minInputs = rounds?.minInputs ?? parseRule(rule).minInputs
  // Known to this peer alone and new at each start: nobody can foresee whom it will sample.
  const secret = random.bytes(32)
  const byzantine = (members: number) => byzantineBound(members, byzantineShare)
  return {
    self: network.self,
    minPeers: pace.minPeers,
    staleness: pace.staleness,
    gatherMinMillis: pace.gatherMinSeconds * 1000,
    gatherMaxMillis: pace.gatherMaxSeconds * 1000,
    absentAfterMillis: pace.absentAfterSeconds * 1000,
    byzantine,
    faults: (members, sampled) => faultsAmong(members, byzantine(members), sampled, stop.rounds ?? ENDLESS_ROUNDS),
    minInputs,
    sampleOrder: (members, round) => sampleOrder(members, round, secret, hash),
    fullView: LIMITS.fullView,
    fullViewMost: LIMITS.fullViewMost,
    syncLag: LIMITS.syncLag,
    futureRounds: LIMITS.futureRounds,
    maxMembers: LIMITS.members,
    stop: {
      rounds: stop.rounds,
      targetAccuracy: stop.targetAccuracy,
      millis: stop.seconds === undefined ? undefined : stop.seconds * 1000,
    },
    ...rounds,
  }
}
