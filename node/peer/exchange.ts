// The state exchange: two members compare digests of the signed records they hold, and the asking one gets what it lacks, page by page.
// It repairs what gossip loses, and is how a newcomer hears of everything at once.
import { create, toBinary } from '@bufbuild/protobuf'
import { equals } from 'uint8arrays/equals'
import { decodeBounded } from '../../protocol/decoding.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import { digestOf, encodeSigned, recordIn, type SignedRecord, signedMessage } from '../../protocol/signed.ts'
import { RecordsRequestSchema, type RecordsResponse, RecordsResponseSchema } from '../../protocol/wire_pb.ts'
import { forgetOldest } from '../forget-oldest.ts'
import { createRateLimit } from '../rate-limit.ts'
import type { PeerParts } from './parts.ts'

export const RECORDS_PROTOCOL = '/murmuration/records/1'

/** How often one random member is asked for records that gossip lost. */
const EXCHANGE_MILLIS = 30_000
/** The same while a round waits: a lost announcement is the likeliest reason. */
const STALLED_EXCHANGE_MILLIS = 3000
/** Members asked at a time: the others are asked once it is known what these had, so that they need not send it again. */
const ASKED_AT_ONCE = 2
/** Members that may wait to be asked. */
const QUEUED = 64
/** Digests that fit into a request beside the task's hash and framing. */
const MOST_DIGESTS = Math.floor((LIMITS.requestBytes - 128) / LIMITS.digestBytes)
/** Bytes of a page's framing. */
const PAGE_BYTES = LIMITS.responseBytes - 1024
/** Fields of a message besides its records, those that a newer version may add included. */
const MORE_FIELDS = 64
/** Bytes around each record on a page. */
const FRAMING_BYTES = 8
/** Pages that one member is answered: each costs a look at all records. */
const ANSWERS = { perSecond: 2, burst: 2 * LIMITS.recordPages, keys: LIMITS.members }
/** Digests remembered of records that were not taken and never will be, the oldest forgotten first: they would be sent each time again. */
const USELESS = LIMITS.members
/** Milliseconds in which a member says whether this peer runs twice. */
const STARTING_MILLIS = 3000

/** What stays so: another of its kind is held, or it is too old, or taken back. */
const OF_NO_USE: ReadonlySet<string> = new Set<RejectionCode | 'known'>([
  'known',
  'stale-round',
  'stale-sequence',
  'shut-out',
  'revoked',
  'own',
])

export interface ExchangeOutlets {
  /** All signed records held, the most important first. */
  records(): SignedRecord[]
  /** Takes in a record; a reason where it is not taken. */
  take(record: SignedRecord, from: PeerId): 'new' | 'known' | RejectionCode
  isStalled(): boolean
}

export interface Exchange {
  /** Answers others, from before anyone is asked. */
  serve(): void
  /** Asks this member once it is its turn; resolves when it was asked, whatever came of it. */
  with(peer: PeerId): Promise<void>
  /** Asks all connected members: after this process has missed what happened. */
  withAll(): Promise<void>
  /** Asks at once for the own newest records, and whether another process with this identity is connected. @throws as Network.request */
  isTwin(peer: PeerId): Promise<boolean>
  /** What was useless may be of use now: someone became a member. */
  reconsider(): void
  /** Asks someone every now and then. */
  start(): void
  stop(): void
}

export function createExchange(parts: PeerParts, { records, take, isStalled }: ExchangeOutlets): Exchange {
  const { network, clock, task, hash, random } = parts
  const stopping = new AbortController()
  const answers = createRateLimit(ANSWERS, clock)
  /** Digests, gone with the record: by its envelope, of evidence by its first one, which may be an update's too. */
  const digests = new WeakMap<Uint8Array, string>()
  const evidenceDigests = new WeakMap<Uint8Array, string>()
  const useless = new Set<string>()
  const queue = new Map<PeerId, { asked: Promise<void>; settle: () => void }>()
  const asking = new Set<PeerId>()
  let cancelNext = () => {}

  function digest(record: SignedRecord): string {
    const [cache, key] = record.kind === 'evidence' ? [evidenceDigests, record.first] : [digests, record.envelope]
    const known = cache.get(key)
    if (known !== undefined) return known
    const made = Buffer.from(digestOf(record, hash)).toString('latin1')
    cache.set(key, made)
    return made
  }

  /** From somewhere on, and then the rest. */
  function rotated<T>(all: readonly T[]): T[] {
    const from = random.bytes(4).reduce((sum, byte) => sum * 256 + byte, 0) % Math.max(1, all.length)
    return [...all.slice(from), ...all.slice(0, from)]
  }

  /** The digests told, as many as fit: others each time where not all do, and what is of no use only in the room that is left. */
  function held(): { told: Set<string>; bytes: Uint8Array } {
    const all = [...new Set(records().map(digest))]
    const told = new Set(all.length > MOST_DIGESTS ? rotated(all).slice(0, MOST_DIGESTS) : all)
    for (const name of [...useless].reverse()) {
      if (told.size >= MOST_DIGESTS) break
      told.add(name)
    }
    return { told, bytes: Buffer.from([...told].join(''), 'latin1') }
  }

  async function request(peer: PeerId, fields: { digests: Uint8Array; starting: boolean }, timeout?: number): Promise<RecordsResponse> {
    const body = toBinary(RecordsRequestSchema, create(RecordsRequestSchema, { task: task.id, ...fields }))
    const bytes = await network.request(peer, RECORDS_PROTOCOL, body, {
      signal: stopping.signal,
      ...(timeout !== undefined && { timeout }),
    })
    const response = decodeBounded(RecordsResponseSchema, bytes, LIMITS.recordsPerPage + MORE_FIELDS)
    if (response !== undefined) return response
    network.blame(peer)
    throw new MurmurError('peer-refused', 'The answer of a member to the state exchange cannot be read; it is held against it.')
  }

  /** Takes in one page; false where it is no use to ask this peer for more. */
  function takePage({ records: page }: RecordsResponse, told: ReadonlySet<string>, from: PeerId): boolean {
    let fresh = 0
    for (const message of page.slice(0, LIMITS.recordsPerPage)) {
      const record = recordIn(message)
      // A kind that a newer version has.
      if (record === undefined) continue
      const name = digest(record)
      const isRepeated = told.has(name)
      const taken = isRepeated ? 'known' : take(record, from)
      if (taken === 'new') fresh++
      if (isRepeated || (taken !== 'new' && taken !== 'known' && REJECTIONS[taken].fault === 'forwarder')) {
        // It was told that this is held, or is to blame for what it holds: not by mistake. The rest of its page is not looked at.
        if (isRepeated) network.blame(from)
        return false
      }
      if (!OF_NO_USE.has(taken)) continue
      useless.add(name)
      forgetOldest(useless, USELESS)
    }
    if (page.length > LIMITS.recordsPerPage) network.blame(from)
    return fresh > 0 && page.length <= LIMITS.recordsPerPage
  }

  /** All pages of one member; true where it says that another process with this identity is connected. */
  async function ask(peer: PeerId, starting = false): Promise<boolean> {
    let twin = false
    for (let page = 0; page < LIMITS.recordPages; page++) {
      const { told, bytes } = held()
      const response = await request(peer, { digests: bytes, starting: starting && page === 0 }, starting ? STARTING_MILLIS : undefined)
      twin ||= response.twin
      if (!takePage(response, told, peer) || !response.more) break
    }
    return twin
  }

  function proceed(): void {
    for (const [peer, { settle }] of queue) {
      if (asking.size >= ASKED_AT_ONCE) return
      if (asking.has(peer)) continue
      queue.delete(peer)
      asking.add(peer)
      // A peer that does not answer is asked again another time; someone else is next.
      ask(peer)
        .catch(() => {})
        .finally(() => {
          asking.delete(peer)
          settle()
          proceed()
        })
    }
  }

  function exchangeWith(peer: PeerId): Promise<void> {
    const waiting = queue.get(peer)
    if (waiting !== undefined) return waiting.asked
    if (queue.size >= QUEUED || stopping.signal.aborted) return Promise.resolve()
    const { promise: asked, resolve: settle } = Promise.withResolvers<void>()
    queue.set(peer, { asked, settle })
    proceed()
    return asked
  }

  function schedule(): void {
    cancelNext = clock.after(isStalled() ? STALLED_EXCHANGE_MILLIS : EXCHANGE_MILLIS, () => {
      const peers = network.peers()
      const [high = 0, low = 0] = random.bytes(2)
      const pick = peers[(256 * high + low) % Math.max(1, peers.length)]
      if (pick !== undefined) void exchangeWith(pick)
      schedule()
    })
  }

  async function answer(body: Uint8Array, from: PeerId): Promise<Uint8Array> {
    const asked = decodeBounded(RecordsRequestSchema, body, MORE_FIELDS)
    if (asked === undefined) throw new MurmurError('peer-refused', 'this is no request for records')
    if (!equals(asked.task, task.id)) throw new MurmurError('peer-refused', 'this peer works on another task')
    if (!answers.take(from)) throw new MurmurError('peer-refused', 'busy: you have been told a lot already')
    const twin = asked.starting && (await network.processes(from)) > 1
    const text = Buffer.from(asked.digests).toString('latin1')
    const theirs = new Set<string>()
    for (let at = 0; at < text.length; at += LIMITS.digestBytes) theirs.add(text.slice(at, at + LIMITS.digestBytes))
    const page: SignedRecord[] = []
    let bytes = 0
    let more = false
    // Who could not tell all that it holds would be sent the same first page for ever.
    for (const record of theirs.size < MOST_DIGESTS ? records() : rotated(records())) {
      if (theirs.has(digest(record))) continue
      bytes += encodeSigned(record).length + FRAMING_BYTES
      more = page.length >= LIMITS.recordsPerPage || bytes > PAGE_BYTES
      if (more) break
      page.push(record)
    }
    return toBinary(RecordsResponseSchema, create(RecordsResponseSchema, { records: page.map(signedMessage), more, twin }))
  }

  return {
    serve: () => network.serve(RECORDS_PROTOCOL, answer),
    with: exchangeWith,
    async withAll() {
      await Promise.all(network.peers().map(exchangeWith))
    },
    isTwin: (peer) => ask(peer, true),
    reconsider: () => useless.clear(),
    start: schedule,
    stop() {
      stopping.abort()
      cancelNext()
      for (const { settle } of queue.values()) settle()
      queue.clear()
    },
  }
}
