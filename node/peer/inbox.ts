// Everything that reaches a peer from others: gossip and the exchange of signed records, checked before use, counted where refused.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { equals } from 'uint8arrays/equals'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import { decodeSigned, encodeSigned, recordIn, signedMessage } from '../../protocol/signed.ts'
import { decodeGossip, inlineFits, openEvidence, openUpdate, type Update, type UpdateRules } from '../../protocol/update.ts'
import { RecordsRequestSchema, RecordsResponseSchema, TaskResponseSchema } from '../../protocol/wire_pb.ts'
import type { PeerEvent } from '../events.ts'
import type { Verdict } from '../ports.ts'
import type { Loop } from './loop.ts'
import type { PeerParts } from './parts.ts'

export const RECORDS_PROTOCOL = '/murmuration/records/1'
export const TASK_PROTOCOL = '/murmuration/task/1'

/** How often one random member is asked for records that gossip lost. */
const EXCHANGE_MILLIS = 30_000
/** The same while a round waits: a lost announcement is the likeliest reason. */
const STALLED_EXCHANGE_MILLIS = 3000

export interface Inbox {
  validate(message: Uint8Array, from: PeerId): Verdict
  onPeer(peer: PeerId): void
  onPeerGone(peer: PeerId): void
  serve(): void
  /** Takes in what a former process of this peer had stored. */
  recall(): void
  startExchange(): void
  stop(): void
}

export function createInbox(
  parts: PeerParts,
  loop: Loop,
  emit: (event: PeerEvent) => void,
  evidence: Map<PeerId, { first: Uint8Array; second: Uint8Array }>,
): Inbox {
  const { network, clock, store, task, hash, random } = parts
  const rules: UpdateRules = { task: task.id, codec: task.manifest.codec, length: task.exchanged, verify: parts.verify }
  const stopping = new AbortController()
  let cancelExchange = () => {}

  function refuse(code: RejectionCode, about: { from?: PeerId; author?: PeerId; round?: number }): Verdict {
    emit({ type: 'rejected', code, ...about })
    return REJECTIONS[code].verdict
  }

  /** Hands a checked update to the round; where it is new it is kept for a restart. */
  function take(update: Update, from: PeerId | undefined, inline?: Uint8Array): Verdict {
    if (update.author === network.self) loop.onOwnRecord(update)
    if (inline !== undefined) loop.holdInline(update, inline)
    const code = loop.dispatch({ type: 'record', update, now: clock.now() })
    if (code !== undefined) {
      loop.dropInline(update)
      return refuse(code, { author: update.author, round: update.round, ...(from && { from }) })
    }
    store.saveRecord(update.author, encodeSigned({ kind: 'update', envelope: update.envelope }))
    return 'accept'
  }

  function takeEvidence(first: Uint8Array, second: Uint8Array, from: PeerId | undefined): Verdict {
    const updates = openEvidence(first, second, rules)
    if (typeof updates === 'string') return refuse(updates, from === undefined ? {} : { from })
    const { author } = updates[0]
    if (evidence.has(author)) return 'ignore'
    // Only members are worth remembering: anyone can make keys that contradict themselves.
    if (!loop.state().members.has(author)) return refuse('not-a-member', { author })
    evidence.set(author, { first, second })
    loop.dispatch({ type: 'evidence', updates })
    return 'accept'
  }

  function validate(message: Uint8Array, from: PeerId): Verdict {
    const decoded = decodeGossip(message)
    if (typeof decoded === 'string') return refuse(decoded, { from })
    if (decoded.type === 'evidence') return takeEvidence(decoded.first, decoded.second, from)
    const update = openUpdate(decoded.record, rules)
    if (typeof update === 'string') return refuse(update, { from })
    const inline = decoded.inline.length > 0 ? decoded.inline : undefined
    if (inline === undefined || inlineFits(update, inline, hash)) return take(update, from, inline)
    // The record is good and its payload can still be pulled; only the messenger is at fault.
    take(update, from)
    return refuse('bad-inline', { from, author: update.author, round: update.round })
  }

  /** A record that another passed on is no sign that its author is there now. */
  function hearsay(author: PeerId): void {
    if (!network.peers().includes(author)) loop.dispatch({ type: 'peer-gone', peer: author, now: clock.now() })
  }

  /** Asks one peer for the newest records it holds. */
  async function exchangeWith(peer: PeerId): Promise<void> {
    const body = toBinary(RecordsRequestSchema, create(RecordsRequestSchema, { task: task.id }))
    const bytes = await network.request(peer, RECORDS_PROTOCOL, body, { signal: stopping.signal })
    const response = fromBinary(RecordsResponseSchema, bytes)
    for (const signed of response.records.slice(0, LIMITS.recordsPerPage)) {
      const record = recordIn(signed)
      if (record?.kind === 'evidence') takeEvidence(record.first, record.second, peer)
      if (record?.kind !== 'update') continue
      const update = openUpdate(record.envelope, rules)
      if (typeof update === 'string') refuse(update, { from: peer })
      // Most of a page is known already; only what is new or wrong is worth an event.
      else if (!loop.knows(update) && take(update, peer) === 'accept') hearsay(update.author)
    }
  }

  function scheduleExchange(): void {
    const stalled = loop.state().phase === 'gathering' || loop.state().phase === 'waiting'
    cancelExchange = clock.after(stalled ? STALLED_EXCHANGE_MILLIS : EXCHANGE_MILLIS, () => {
      const peers = network.peers()
      const pick = peers[(random.bytes(1)[0] ?? 0) % Math.max(1, peers.length)]
      // A peer that does not answer is asked again another time; someone else is next.
      if (pick !== undefined) exchangeWith(pick).catch(() => {})
      scheduleExchange()
    })
  }

  function tellPeers(): void {
    emit({ type: 'peers', connected: network.peers().length, members: loop.state().members.size + 1 })
  }

  return {
    validate,
    onPeer(peer) {
      loop.dispatch({ type: 'peer', peer, now: clock.now() })
      tellPeers()
      exchangeWith(peer).catch(() => {})
    },
    onPeerGone(peer) {
      loop.dispatch({ type: 'peer-gone', peer, now: clock.now() })
      tellPeers()
    },
    serve() {
      network.serve(TASK_PROTOCOL, async () => toBinary(TaskResponseSchema, create(TaskResponseSchema, { manifest: task.envelope })))
      network.serve(RECORDS_PROTOCOL, async (body) => {
        const request = fromBinary(RecordsRequestSchema, body)
        if (!equals(request.task, task.id)) throw new MurmurError('peer-refused', 'this peer works on another task')
        return toBinary(
          RecordsResponseSchema,
          create(RecordsResponseSchema, {
            records: [
              ...[...evidence.values()].map((pair) => signedMessage({ kind: 'evidence', ...pair })),
              ...loop.records().map((envelope) => signedMessage({ kind: 'update', envelope })),
            ].slice(0, LIMITS.recordsPerPage),
          }),
        )
      })
    },
    recall() {
      for (const message of store.loadRecords()) {
        const decoded = decodeSigned(message)
        if (decoded?.kind === 'evidence') {
          const updates = openEvidence(decoded.first, decoded.second, rules)
          if (typeof updates === 'string') continue
          evidence.set(updates[0].author, { first: decoded.first, second: decoded.second })
          loop.dispatch({ type: 'evidence', updates })
          continue
        }
        if (decoded?.kind !== 'update') continue
        const update = openUpdate(decoded.envelope, rules)
        if (typeof update === 'string' || update.author === network.self) continue
        loop.dispatch({ type: 'record', update, now: clock.now() })
        loop.dispatch({ type: 'peer-gone', peer: update.author, now: clock.now() })
      }
    },
    startExchange: scheduleExchange,
    stop() {
      stopping.abort()
      cancelExchange()
    },
  }
}
