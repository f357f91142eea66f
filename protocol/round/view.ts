// What follows from a round's state: who counts, who is waited for, which vectors are at hand, where the honest members are.
import { type PeerId, shortId } from '../identity.ts'
import type { Update } from '../update.ts'
import type { Member, RoundConfig, RoundState } from './state.ts'

/** Members other than oneself that are not shut out and were seen lately. */
export function roster(state: RoundState, config: RoundConfig, now: number): PeerId[] {
  const ids: PeerId[] = []
  for (const [id, member] of state.members) {
    if (!state.shutOut.has(id) && now - member.seen <= config.absentAfterMillis) ids.push(id)
  }
  return ids
}

export const isCollecting = ({ phase }: RoundState): boolean => phase === 'gathering' || phase === 'syncing'

export const furthest = (member: Member): number => Math.max(member.latest?.round ?? 0, member.future?.round ?? 0)

/** The round that a record counts in: who has finished the last one tells its result as that of the next, in which nobody takes part. */
export const roundOf = (update: Update, { stop }: RoundConfig): number => Math.min(update.round, stop.rounds ?? update.round)

/** Attackers to assume in the network: it began with `minPeers` members, however few a newcomer has met. */
const assumed = (state: RoundState, config: RoundConfig): number => config.byzantine(Math.max(state.members.size + 1, config.minPeers))

/**
 * J, the (b+1)-th highest latest round among distinct members: at least one honest member has reached it.
 * 0 where too few have announced anything; never beyond the last round.
 */
export function honestRound(state: RoundState, config: RoundConfig): number {
  const rank = assumed(state, config)
  /** The highest so far, falling; members are nearly all in one round, so that few get in. */
  const highest: number[] = []
  for (const [id, member] of state.members) {
    const round = furthest(member)
    if (round <= (highest[rank] ?? 0) || state.shutOut.has(id)) continue
    let at = highest.length
    while (at > 0 && highest[at - 1]! < round) at--
    highest.splice(at, 0, round)
    highest.length = Math.min(highest.length, rank + 1)
  }
  return Math.min(highest[rank] ?? 0, config.stop.rounds ?? Number.POSITIVE_INFINITY)
}

/** True where enough members have announced for `honestRound` to bound the future. */
export const futureIsBounded = (state: RoundState, config: RoundConfig): boolean =>
  count(state, (member) => furthest(member) > 0) > 2 * assumed(state, config)

/** Members, self included, that are here. */
export const presentCount = (state: RoundState): number => count(state, (member) => member.present) + 1

/** How many other members are so; looked at with each record, so nothing is made of them. */
function count(state: RoundState, is: (member: Member) => boolean): number {
  let found = 0
  for (const member of state.members.values()) if (is(member)) found++
  return found
}

/** True where a record counts in `round`: announced in [round - tau, round], or final. */
const counts = (update: Update | undefined, round: number, config: RoundConfig): update is Update =>
  update !== undefined && roundOf(update, config) <= round && (update.final || update.round >= round - config.staleness)

/** The vectors at hand, own not included: each attempted author's newest one that counts. */
export function inputsOf(state: RoundState, config: RoundConfig): Update[] {
  return state.attempted.flatMap((id) => {
    const ready = state.shutOut.has(id) ? undefined : state.members.get(id)?.ready
    return counts(ready, state.round, config) ? [ready] : []
  })
}

/** Attempted members whose vector of this very round may still come. */
export function awaited(state: RoundState): PeerId[] {
  return state.attempted.filter((id) => {
    const member = state.members.get(id)
    if (member === undefined || state.shutOut.has(id)) return false
    if (member.ready && (member.ready.final || member.ready.round === state.round)) return false
    if (member.latest?.round === state.round || member.latest?.final) return member.pull !== 'failed'
    // Gone, or past this round already: nothing of this round will come.
    return member.present && member.future === undefined
  })
}

/** Attempted members from whom a vector is on its way. */
export const delivering = (state: RoundState): PeerId[] =>
  state.attempted.filter((id) => state.members.get(id)?.pull === 'pulling' && !state.shutOut.has(id))

/** True where no vector that counts will come of `id` in this round; once the deadline has passed, silence is enough. */
export function failed(state: RoundState, id: PeerId, config: RoundConfig, now: number): boolean {
  const member = state.members.get(id)
  if (member === undefined || state.shutOut.has(id)) return true
  if (counts(member.ready, state.round, config)) return false
  if (counts(member.latest, state.round, config)) return member.pull === 'failed'
  return !member.present || member.future !== undefined || (isCollecting(state) && now >= state.deadline)
}

/** Vectors needed to aggregate, own included: never fewer than the rule needs, nor the own one alone where others are expected. */
export const neededInputs = (state: RoundState, config: RoundConfig): number =>
  Math.max(config.minInputs(state.f), config.minPeers > 1 ? 2 : 1)

/** Others' vectors needed to go on: a median without the own one needs more of them. */
export const neededOthers = (state: RoundState, config: RoundConfig): number =>
  state.syncFrom === undefined ? neededInputs(state, config) - 1 : 2 * state.f + 1

/** What the peer waits for, in words; undefined where it is at work. */
export function waitingFor(state: RoundState, config: RoundConfig, now: number): { what: string; untilMillis?: number } | undefined {
  if (state.phase === 'waiting') {
    return { what: `${Math.max(0, config.minPeers - presentCount(state))} more of ${config.minPeers} peers to start` }
  }
  if (!isCollecting(state)) return undefined
  const syncing = state.phase === 'syncing'
  const missing = syncing ? delivering(state) : awaited(state)
  const names = `${missing.slice(0, 3).map(shortId).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more` : ''}`
  const of = syncing ? `the models of round ${state.round} of` : 'updates of'
  if (now < state.deadline && missing.length > 0) return { what: `${of} ${names}`, untilMillis: state.deadline - now }
  const needed = syncing ? neededOthers(state, config) : neededInputs(state, config)
  const have = inputsOf(state, config).length + (syncing ? 0 : 1)
  const kind = syncing ? `models near round ${state.round}, to take over where the network is` : 'updates needed to be safe'
  return { what: `${Math.max(0, needed - have)} more of ${needed} ${kind}` }
}

/** True where the own accuracy and the median of at least 2f+1 members' latest ones, own included, reach the target. */
export function targetMet(state: RoundState, config: RoundConfig, own: { accuracy?: number; now: number }): boolean {
  const target = config.stop.targetAccuracy
  if (target === undefined || own.accuracy === undefined || own.accuracy < target) return false
  const told = roster(state, config, own.now).flatMap((id) => {
    const member = state.members.get(id)
    return (member?.future ?? member?.latest)?.accuracy ?? []
  })
  const sorted = [...told, own.accuracy].sort((a, b) => a - b)
  const enough = 2 * config.byzantine(state.members.size + 1) + 1
  return sorted.length >= enough && sorted[(sorted.length - 1) >> 1]! >= target
}
