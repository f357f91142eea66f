// How the members' part of a round's state changes: bounded, and copied on write, so that the reducer stays pure.
import type { PeerId } from '../identity.ts'
import type { Member, RoundConfig, RoundState } from './state.ts'
import { roster } from './view.ts'

/** The state with some fields of a known member changed; `undefined` removes a field. Unknown members are left unknown. */
export function withMember(state: RoundState, id: PeerId, change: { [K in keyof Member]?: Member[K] | undefined }): RoundState {
  const member = state.members.get(id)
  if (member === undefined) return state
  const changed = { ...member, ...change }
  for (const key of Object.keys(change) as (keyof Member)[]) if (changed[key] === undefined) delete changed[key]
  return { ...state, members: new Map(state.members).set(id, changed as Member) }
}

/**
 * A sign of life of `id`, who becomes a member where it is new and there is room. While the whole roster is pulled from,
 * a newcomer is attempted in the round in hand too; f never falls within a round.
 */
export function admit(state: RoundState, id: PeerId, now: number, config: RoundConfig): RoundState {
  if (id === config.self || state.shutOut.has(id)) return state
  if (state.members.has(id) && state.attempted.includes(id)) return withMember(state, id, { seen: now, present: true })
  const members = new Map(state.members)
  if (!members.has(id) && members.size >= config.maxMembers && !forgetOne(members)) return state
  members.set(id, { pull: 'none', ...members.get(id), seen: now, present: true })
  const admitted = { ...state, members }
  const ids = roster(admitted, config, now)
  if (state.round === 0 || ids.length > config.fullView || state.attempted.includes(id)) return admitted
  const attempted = [...state.attempted, id]
  return { ...admitted, attempted, f: Math.max(state.f, config.faults(ids.length + 1, attempted.length)) }
}

/** Makes room by forgetting the longest silent absent member; false where all are present. */
function forgetOne(members: Map<PeerId, Member>): boolean {
  let oldest: PeerId | undefined
  for (const [id, member] of members) {
    if (!member.present && (oldest === undefined || member.seen < (members.get(oldest)?.seen ?? 0))) oldest = id
  }
  return oldest !== undefined && members.delete(oldest)
}

/** Enters `round`: records held as future that it has caught up with become the latest ones. */
export function reached(state: RoundState, round: number): RoundState {
  const members = new Map<PeerId, Member>()
  for (const [id, member] of state.members) {
    const { future, ...rest } = member
    members.set(id, future !== undefined && future.round <= round ? { ...rest, latest: future, pull: 'none' } : member)
  }
  return { ...state, round, members }
}
