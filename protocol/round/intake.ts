// What a round makes of others' records and payloads: taken into the view, or refused with a reason.
import type { RejectionCode } from '../rejections.ts'
import { sameUpdate, type Update } from '../update.ts'
import { ARRIVALS_KEPT } from './deadline.ts'
import { admit, withMember } from './members.ts'
import type { Member, RoundConfig, RoundEvent, RoundState, Step } from './state.ts'
import { furthest, futureIsBounded, honestRound, roundOf } from './view.ts'

type Of<T extends RoundEvent['type']> = Extract<RoundEvent, { type: T }>

const heldOf = (member: Member | undefined, round: number): Update | undefined =>
  [member?.latest, member?.future, member?.ready].find((other) => other?.round === round)

/** Why nothing would come of a record, whoever signed it: its signature need not be checked. */
export function refusalOf(state: RoundState, update: Update, config: RoundConfig): RejectionCode | undefined {
  const { author, round } = update
  if (author === config.self) return 'own'
  if (state.shutOut.has(author)) return 'shut-out'
  const known = state.members.get(author)
  const held = heldOf(known, round)
  // Two that differ are proof, where both are signed.
  if (held !== undefined) return sameUpdate(held, update) ? 'duplicate' : undefined
  return known !== undefined && round < furthest(known) ? 'stale-round' : undefined
}

/** Takes a checked record into the view, or says why not; `isNews` where the round may go on by it. An author's rounds strictly increase. */
export function takeRecord(state: RoundState, { update, now }: Of<'record'>, config: RoundConfig): Step & { isNews: boolean } {
  const { author, round, final } = update
  const rejected = (code: NonNullable<Step['rejected']>, step: Step = { state, effects: [] }) => ({
    ...step,
    rejected: code,
    isNews: false,
  })
  const code = refusalOf(state, update, config)
  if (code !== undefined) return rejected(code)
  const known = state.members.get(author)
  const held = heldOf(known, round)
  if (held !== undefined) return rejected('shut-out', shutOut(state, [held, update], config))
  if (round < state.round - config.staleness && !final)
    return rejected('stale-round', { state: admit(state, author, now, config), effects: [] })
  // Nobody takes part in a round after the last one.
  if (roundOf(update, config) < round && !(final && round - 1 === config.stop.rounds)) return rejected('future-round')
  const reach = round - config.futureRounds
  const isFar = reach > state.round && reach > honestRound(state, config) && futureIsBounded(state, config)
  const isLater = roundOf(update, config) > state.round || (round > state.round && known?.ready?.round === state.round)
  const taken = admit(state, author, now, config, isLater ? { future: update } : { latest: update, pull: 'none' })
  if (!taken.members.has(author)) return rejected('not-a-member')
  // Not passed on, or one author could make ever new ones; but held: where this peer was away, enough of them say how far the others are.
  return { state: taken, effects: [], isNews: true, ...(isFar && { rejected: 'future-round' }) }
}

/** What became of a pull, and how long it took, where it is of use for deadlines. */
export function takePayload(state: RoundState, { update, ok, now }: Of<'payload'>): RoundState {
  const member = state.members.get(update.author)
  if (member === undefined) return state
  const current = member.latest !== undefined && sameUpdate(member.latest, update)
  let next = state
  if (ok && (member.ready?.round ?? 0) < update.round) next = withMember(next, update.author, { ready: update })
  if (current) next = withMember(next, update.author, { pull: ok ? 'none' : 'failed' })
  if (!ok || update.round !== state.round || (state.phase !== 'training' && state.phase !== 'gathering')) return next
  const late = state.phase === 'gathering' ? now - state.announcedAt : 0
  return { ...next, arrivals: [...state.arrivals, late].slice(-ARRIVALS_KEPT) }
}

/** Two different records of one round are proof: nothing by their author counts any more. Being an outlier never is. */
export function shutOut(state: RoundState, [first, second]: readonly [Update, Update], config: RoundConfig): Step {
  // Full only where keys cost nothing, and then nobody may be let back in by a flood of others.
  if (state.shutOut.has(first.author) || state.shutOut.size >= config.maxMembers) return { state, effects: [] }
  return {
    state: { ...state, shutOut: new Set([...state.shutOut, first.author]) },
    effects: [
      { type: 'equivocation', first, second },
      { type: 'wake', at: 0 },
    ],
  }
}
