// Every signed record that reaches a peer, by gossip, by the state exchange or from its own disk: checked before use, counted where refused.
// A reason becomes accept, ignore or reject, and somebody's fault or nobody's, by the table in protocol/rejections.ts alone.
import type { LoneRecord } from '../../protocol/gossip.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import { decodeSigned, encodeSigned, type SignedRecord } from '../../protocol/signed.ts'
import { openEvidence, openUpdate, type Update, type UpdateRules } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
import type { AddressBook, Way } from './address-book.ts'
import type { Loop } from './loop.ts'
import type { PeerParts } from './parts.ts'

export type Taken = 'new' | 'known' | RejectionCode
/** Of what was refused: who brought it, and what it says of itself. */
export type About = { from?: PeerId; author?: PeerId; round?: number }

export interface Inbox {
  readonly rules: UpdateRules
  /** Takes in a record that a member has told when it was asked. */
  take(record: SignedRecord, from: PeerId): Taken
  /** Takes in what a former process of this peer had stored. */
  recall(): void
  /** Hands a checked update to the round; where it is new it is kept for a restart. */
  takeUpdate(update: Update, about: About, inline?: Uint8Array): Taken
  /** Takes in any record but an update. */
  takeOther(record: LoneRecord, about: About, way: Way): Taken
  /** Counts what is not taken. */
  refuse(code: RejectionCode, about: About): RejectionCode
}

export function createInbox(
  parts: PeerParts,
  loop: Loop,
  emit: (event: PeerEvent) => void,
  { addresses, evidence }: { addresses: AddressBook; evidence: Map<PeerId, { first: Uint8Array; second: Uint8Array }> },
): Inbox {
  const { network, members, clock, store, task } = parts
  const rules: UpdateRules = { task: task.id, codec: task.manifest.codec, length: task.exchanged, verify: parts.verify }

  /** Others have shown two different updates for one round by this peer itself. */
  let isShutOut = false

  function refuse(code: RejectionCode, about: About): RejectionCode {
    emit({ type: 'rejected', code, ...about })
    if (REJECTIONS[code].fault === 'forwarder' && about.from !== undefined) network.blame(about.from)
    return code
  }

  function takeUpdate(update: Update, about: About, inline?: Uint8Array): Taken {
    const { author, round, envelope } = update
    if (author === network.self) loop.onOwnRecord(update)
    else if (!members.isMember(author)) return refuse('not-a-member', { ...about, author, round })
    if (inline !== undefined) loop.holdInline(update, inline)
    const code = loop.dispatch({ type: 'record', update, now: clock.now() })
    if (code !== undefined) {
      loop.dropInline(update)
      return refuse(code, { ...about, author, round })
    }
    store.saveRecord(author, encodeSigned({ kind: 'update', envelope }))
    return 'new'
  }

  /** Whatever this peer does from now on, nobody will take it: that is not to be learned from silence. */
  function onOwnEvidence(round: number): Taken {
    if (isShutOut) return 'known'
    isShutOut = true
    emit({
      type: 'warning',
      code: 'identity-twin',
      message: `Two different updates of round ${round} are signed by this peer, and the network has shut its identity out for good: stop it, and join anew with an empty directory.`,
    })
    return 'known'
  }

  function takeEvidence({ first, second }: { first: Uint8Array; second: Uint8Array }, about: About): Taken {
    const updates = openEvidence(first, second, rules)
    if (typeof updates === 'string') return refuse(updates, about)
    const { author, round } = updates[0]
    if (author === network.self) return onOwnEvidence(round)
    if (evidence.has(author)) return 'known'
    // Only of members is it worth remembering: anyone can make keys that contradict themselves.
    if (!members.isMember(author) || !loop.state().members.has(author)) return refuse('not-a-member', { ...about, author })
    if (evidence.size >= LIMITS.members) return refuse('full', { ...about, author })
    evidence.set(author, { first, second })
    loop.dispatch({ type: 'evidence', updates })
    return 'new'
  }

  function takeOther(record: LoneRecord, about: About, way: Way): Taken {
    if (record.kind === 'evidence') return takeEvidence(record, about)
    const { kind, envelope } = record
    const taken = kind === 'addresses' ? addresses.take(envelope, way) : members.take({ kind, envelope })
    return taken === 'new' || taken === 'known' ? taken : refuse(taken, about)
  }

  return {
    rules,
    refuse,
    takeUpdate,
    takeOther,
    take(record, from) {
      if (record.kind !== 'update') return takeOther(record, { from }, 'exchange')
      const update = openUpdate(record.envelope, rules)
      if (typeof update === 'string') return refuse(update, { from })
      // Most of a page is known already; only what is new or wrong is worth an event.
      if (loop.knows(update)) return 'known'
      const taken = takeUpdate(update, { from })
      // A record that another passed on is no sign that its author is there now.
      if (taken === 'new' && !network.peers().includes(update.author)) {
        loop.dispatch({ type: 'peer-gone', peer: update.author, now: clock.now() })
      }
      return taken
    },
    recall() {
      for (const bytes of store.loadRecords()) {
        const record = decodeSigned(bytes)
        if (record?.kind === 'addresses') addresses.take(record.envelope, 'disk')
        if (record?.kind === 'evidence') {
          const updates = openEvidence(record.first, record.second, rules)
          if (typeof updates === 'string') continue
          evidence.set(updates[0].author, { first: record.first, second: record.second })
          loop.dispatch({ type: 'evidence', updates })
        }
        if (record?.kind !== 'update') continue
        const update = openUpdate(record.envelope, rules)
        if (typeof update === 'string' || update.author === network.self || !members.isMember(update.author)) continue
        loop.dispatch({ type: 'record', update, now: clock.now() })
        loop.dispatch({ type: 'peer-gone', peer: update.author, now: clock.now() })
      }
    },
  }
}
