// Whom a peer pulls from in a round: everyone while they are few, else a sample drawn by the receiver's own secret, before it reads
// any announcement; where attempted members fail, the next ones in the same order stand in and f follows.
import type { PeerId } from '../identity.ts'
import type { RoundConfig, RoundState } from './state.ts'
import { failed, neededOthers, roster } from './view.ts'

/** Draws this round's sample and the attackers to withstand in it, from those attempted, never from those that answer. */
export function draw(state: RoundState, config: RoundConfig, now: number): RoundState {
  const ids = roster(state, config, now)
  const sampling = ids.length > (state.sampling ? config.fullView : config.fullViewMost)
  const order = sampling ? config.sampleOrder(ids, state.round) : ids
  const attempted = sampling ? order.slice(0, config.fullView) : order
  const reserve = order.slice(attempted.length)
  return { ...state, sampling, attempted, reserve, f: config.faults(ids.length + 1, attempted.length) }
}

/**
 * Someone new in a round that is under way: attempted where all are, else a stand-in. f never falls within a round, but rises with
 * the members known.
 */
export function enlist(state: RoundState, id: PeerId, config: RoundConfig, now: number): RoundState {
  const members = roster(state, config, now).length
  const joins = !state.sampling && members <= config.fullViewMost
  const attempted = joins ? [...state.attempted, id] : state.attempted
  const reserve = joins || state.reserve.length >= config.maxMembers ? state.reserve : [...state.reserve, id]
  return { ...state, attempted, reserve, f: Math.max(state.f, config.faults(members + 1, attempted.length)) }
}

/** Attempts more members while too few of the attempted can still deliver: fewer than a sample, or than are needed to be safe. */
export function extend(state: RoundState, config: RoundConfig, now: number): RoundState {
  if (state.round === 0 || state.reserve.length === 0) return state
  const fails = (id: PeerId) => failed(state, id, config, now)
  let useful = state.attempted.reduce((count, id) => count + (fails(id) ? 0 : 1), 0)
  const enough = ({ f }: RoundState) => useful >= Math.max(config.fullView, neededOthers({ ...state, f }, config))
  if (enough(state)) return state
  const members = roster(state, config, now).length + 1
  let extended = state
  for (const [at, id] of state.reserve.entries()) {
    if (enough(extended)) break
    if (!fails(id)) useful++
    const attempted = [...state.attempted, ...state.reserve.slice(0, at + 1)]
    const f = Math.max(extended.f, config.faults(members, attempted.length))
    extended = { ...extended, attempted, reserve: state.reserve.slice(at + 1), f }
  }
  return extended
}
