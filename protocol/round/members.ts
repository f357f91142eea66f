// How the members' part of a round's state changes: bounded, and copied on write, so that the reducer stays pure.
import type { PeerId } from '../identity.ts'
import { enlist } from './sample.ts'
import type { Member, RoundConfig, RoundState } from './state.ts'
import { roundOf } from './view.ts'

/** The state with some fields of a known member changed; `undefined` removes a field. Unknown members are left unknown. */
export function withMember(state: RoundState, id: PeerId, change: { [K in keyof Member]?: Member[K] | undefined }): RoundState {
  const member = state.members.get(id)
  if (member === undefined) return state
  const changed = { ...member, ...change }
  for (const key of Object.keys(change) as (keyof Member)[]) if (changed[key] === undefined) delete changed[key]
  return { ...state, members: new Map(state.members).set(id, changed as Member) }
}

/** A sign of life of `id`, who becomes a member where it is new and there is room, and takes part in the round in hand. */
export function admit(state: RoundState, id: PeerId, now: number, config: RoundConfig): RoundState {
  if (id === config.self || state.shutOut.has(id)) return state
  const takesPart = state.round === 0 || state.attempted.includes(id) || state.reserve.includes(id)
  if (state.members.has(id)) {
    const seen = withMember(state, id, { seen: now, present: true })
    return takesPart ? seen : enlist(seen, id, config, now)
  }
  const members = new Map(state.members)
  if (members.size >= config.maxMembers && !forgetOne(members)) return state
  members.set(id, { pull: 'none', seen: now, present: true })
  return takesPart ? { ...state, members } : enlist({ ...state, members }, id, config, now)
}

/** Makes room by forgetting the longest silent absent member; false where all are present. */
function forgetOne(members: Map<PeerId, Member>): boolean {
  let oldest: PeerId | undefined
  for (const [id, member] of members) {
    if (!member.present && (oldest === undefined || member.seen < (members.get(oldest)?.seen ?? 0))) oldest = id
  }
  return oldest !== undefined && members.delete(oldest)
}

/** Those who are no members any more have no part in the round in hand either; f stays, it never falls within a round. */
export function evict(state: RoundState, peers: readonly PeerId[]): RoundState {
  const gone = new Set(peers)
  const stays = (id: PeerId) => !gone.has(id)
  return {
    ...state,
    members: new Map([...state.members].filter(([id]) => stays(id))),
    attempted: state.attempted.filter(stays),
    reserve: state.reserve.filter(stays),
  }
}

/** Enters `round`: records held as future that it has caught up with become the latest ones. */
export function reached(state: RoundState, round: number, config: RoundConfig): RoundState {
  const members = new Map<PeerId, Member>()
  for (const [id, member] of state.members) {
    const { future, ...rest } = member
    members.set(id, future !== undefined && roundOf(future, config) <= round ? { ...rest, latest: future, pull: 'none' } : member)
  }
  return { ...state, round, members }
}

/** Time in which this process stood still is no silence of others. */
export function passOver(state: RoundState, millis: number): RoundState {
  return { ...state, members: new Map([...state.members].map(([id, member]) => [id, { ...member, seen: member.seen + millis }])) }
}
