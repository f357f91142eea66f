// What a peer tells of itself and of the members it knows, for `status`, `peers` and library users.
import type { PeerId } from '../../protocol/identity.ts'
import type { RoundState } from '../../protocol/round/state.ts'
import { furthest } from '../../protocol/round/view.ts'
import type { Phase } from '../events.ts'
import type { Flow } from '../ports.ts'
import type { PeerParts } from './parts.ts'

export interface MemberStatus {
  peer: PeerId
  role: 'peer' | 'admin'
  /** False for one whose membership was taken back or has ended, as long as it is remembered. */
  member: boolean
  connected: boolean
  /** Counted on in the round in hand: connected, or heard of since. */
  present: boolean
  /** Of its newest update; 0: none is known. */
  round: number
  /** What its newest update tells of the model that its round began with; missing where the task does not ask for it. */
  accuracy?: number
  /** Seconds since it was heard of; missing where it never was by this process. */
  seenSecondsAgo?: number
  /** Seconds since 1970; missing: never. */
  expiresAt?: number
  /** It signed two updates for one round. */
  shutOut: boolean
}

export interface PeerStatus {
  peer: PeerId
  task: string
  name: string
  round: number
  phase: Phase
  waitingFor?: string
  untilSeconds?: number
  addresses: string[]
  members: MemberStatus[]
  accuracy?: number
  loss?: number
  traffic: Flow
  /** The link to its dashboard. */
  dashboard?: string
}

export interface Waiting {
  what: string
  untilMillis?: number
}

export const told = (waiting: Waiting | undefined): { waitingFor?: string; untilSeconds?: number } => ({
  ...(waiting && { waitingFor: waiting.what }),
  ...(waiting?.untilMillis !== undefined && { untilSeconds: Math.ceil(waiting.untilMillis / 1000) }),
})

/** Everyone but this peer: those that certificates name, and whoever took part in rounds. */
export function describeMembers({ network, members: book, clock }: PeerParts, state: RoundState): MemberStatus[] {
  const connected = new Set(network.connections())
  const named = new Map(book.members().map((member) => [member.peer, member]))
  const peers = new Set([...named.keys(), ...state.members.keys()])
  peers.delete(network.self)
  return [...peers].map((peer) => {
    const member = state.members.get(peer)
    const expiresAt = named.get(peer)?.expiresAt
    return {
      peer,
      role: named.get(peer)?.role ?? 'peer',
      member: book.isMember(peer),
      connected: connected.has(peer),
      present: member?.present ?? false,
      round: member === undefined ? 0 : furthest(member),
      ...(member?.latest?.accuracy !== undefined && { accuracy: member.latest.accuracy }),
      ...(member && { seenSecondsAgo: Math.max(0, Math.round((clock.now() - member.seen) / 1000)) }),
      ...(expiresAt !== undefined && { expiresAt }),
      shutOut: state.shutOut.has(peer),
    }
  })
}
