// How the members' part of a round's state changes: bounded, and copied on write, so that the reducer stays pure.
import type { PeerId } from '../identity.ts'
import { enlist } from './sample.ts'
import type { Member, RoundConfig, RoundState } from './state.ts'
import { roundOf } from './view.ts'

/** `undefined` removes a field. */
type Change = { [K in keyof Member]?: Member[K] | undefined }

function changed(member: Member, change: Change): Member {
  const next = { ...member, ...change }
  for (const key of Object.keys(change) as (keyof Member)[]) if (next[key] === undefined) delete next[key]
  return next as Member
}

/** The state with some fields of a known member changed. Unknown members are left unknown. */
export function withMember(state: RoundState, id: PeerId, change: Change): RoundState {
  const member = state.members.get(id)
  return member === undefined ? state : { ...state, members: new Map(state.members).set(id, changed(member, change)) }
}

/**
 * A sign of life of `id`, who becomes a member where it is new and there is room, and takes part in the round in hand; with what else
 * became of it, since a copy of the members is what costs most here.
 */
export function admit(state: RoundState, id: PeerId, now: number, config: RoundConfig, change: Change = {}): RoundState {
  if (id === config.self || state.shutOut.has(id)) return state
  const takesPart = state.round === 0 || state.attempted.includes(id) || state.reserve.includes(id)
  const members = new Map(state.members)
  const known = members.get(id)
  if (known === undefined && members.size >= config.maxMembers && !forgetOne(members)) return state
  members.set(id, changed({ pull: 'none', ...known, seen: now, present: true }, change))
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
