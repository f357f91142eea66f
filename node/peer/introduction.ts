// Where admission is by invitation: shows the own membership to members who were away and may not know it yet, and to those whom the user
// named. Nobody else is to learn from it who takes part in what.
import type { PeerId } from '../../protocol/identity.ts'
import { decodeJoinResponse, encodeJoinRequest, JOIN_PROTOCOL, NO_PROOF } from '../../protocol/join.ts'
import type { Task } from '../../protocol/task.ts'
import type { Clock, Network } from '../ports.ts'
import type { MemberBook } from './member-book.ts'
import { takeRoster } from './roster.ts'

/** Milliseconds between two looks for new connections: strangers are cut off after ten seconds. */
const LOOK_MILLIS = 1000
/** Looks until a peer that refused is asked again: at first, and at most. */
const FIRST_WAIT = 1
const LONGEST_WAIT = 30
/** Looks until one that knows is asked again: it may have turned this peer out since, or forgotten it, and would say so to nobody else. */
const RENEW_WAIT = 20

/** @param parts `named`: peers that the user named, who may be members that this peer does not know yet. Returns what ends it. */
export function introduceTo(parts: { network: Network; task: Task; book: MemberBook; clock: Clock; named: readonly PeerId[] }): () => void {
  const { network, task, book, clock, named } = parts
  if (book.mode === 'open') return () => {}
  /** Looks left until a connected peer is asked again, and how many it waited after its last refusal. */
  const waiting = new Map<PeerId, { left: number; wait: number }>()
  const life = new AbortController()
  let cancel = () => {}

  async function introduce(peer: PeerId, membership: Uint8Array): Promise<void> {
    const state = waiting.get(peer) ?? { left: RENEW_WAIT, wait: 0 }
    waiting.set(peer, state)
    state.left = RENEW_WAIT
    try {
      const body = encodeJoinRequest(task.id, { ...NO_PROOF, membership })
      const answer = decodeJoinResponse(await network.request(peer, JOIN_PROTOCOL, body, { signal: life.signal }))
      if (answer === 'malformed') return
      takeRoster(book, answer.roster)
      state.wait = 0
    } catch {
      // It knows too little yet, is busy, or has gone: only time helps.
      state.left = state.wait = Math.min(LONGEST_WAIT, Math.max(FIRST_WAIT, 2 * state.wait))
    }
  }

  function look(): void {
    const connected = new Set(network.connections().filter((peer) => book.isMember(peer) || named.includes(peer)))
    for (const peer of waiting.keys()) if (!connected.has(peer)) waiting.delete(peer)
    const membership = book.membershipOf(network.self)
    for (const peer of membership === undefined ? [] : connected) {
      const state = waiting.get(peer)
      if (state !== undefined) state.left -= 1
      if (state === undefined || state.left <= 0) void introduce(peer, membership!)
    }
    cancel = clock.after(LOOK_MILLIS, look)
  }
  look()
  return () => {
    life.abort()
    cancel()
  }
}
