// Payloads by their root hash: serves those in the store, and pulls missing ones chunk by chunk, each checked, from whoever holds them.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { toString as toText } from 'uint8arrays/to-string'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { chunkCount, HASH_BYTES, type Hash, type PayloadRef } from '../../protocol/payload.ts'
import { type PayloadRequest, PayloadRequestSchema, type PayloadResponse, PayloadResponseSchema } from '../../protocol/wire_pb.ts'
import type { Clock, Network, PartialObject, PayloadExchange, PullOptions, Store } from '../ports.ts'
import { createSharedMemory } from '../shared-memory.ts'
import { untilAborted } from './deadline.ts'
import { createLanes } from './lanes.ts'
import { createHolding } from './payload-holding.ts'
import { Lie, pullPart, Refusal } from './payload-pull.ts'
import { createPayloadServing, HAVE_ROOTS } from './payload-serving.ts'
import { createSources } from './payload-sources.ts'
import { createTurns } from './turns.ts'

export const PAYLOAD_PROTOCOL = '/murmuration/payload/1'

/** Milliseconds a chunk may take where one peer is asked: all that are in flight share the link. */
const CHUNK_MILLIS = (1000 * LIMITS.chunksInFlight * LIMITS.chunkBytes) / LIMITS.slowestBytesPerSecond
/** The longest wait that is obeyed, where a source has sent as much as it sends at a time. */
const LONGEST_RETRY_MILLIS = 5000
/** Payloads of some length that are pulled at a time. */
const PULLS = 4
/** Payloads of more chunks wait for their turn, and are kept on disk while they are pulled: less than 1 MiB is pulled again sooner. */
const PART_CHUNKS = 4

export interface PayloadExchangeParts {
  network: Network
  store: Pick<Store, 'getObject' | 'putObject' | 'openPart'>
  /** The task's id, 32 bytes: payloads of other tasks are not served. */
  task: Uint8Array
  hash: Hash
  clock: Clock
  /** A peer sent bytes that do not have the signed hash. */
  onBadChunk?: (peer: PeerId) => void
  /** A part of a payload goes to a peer. */
  onServed?: (peer: PeerId, bytes: number) => void
}

/** One pull, shared by everyone who waits for the same payload. */
interface Pull {
  ref: PayloadRef
  sources: Set<() => PeerId[]>
  progress: Set<NonNullable<PullOptions['onProgress']>>
  stopping: AbortController
  waiting: number
  isOver: boolean
  result: Promise<Uint8Array>
  /** It is wanted for a moment only: it is put together in memory that is used again. */
  isLent: boolean
  /** Whoever waited for it reads it no more: gives its memory back, where nobody else reads it either. */
  release?: () => void
}

/** Serves from now on. `pull` throws peer-unreachable where no source delivered, limit-exceeded, cancelled, and what the store throws. */
export function createPayloadExchange(parts: PayloadExchangeParts): PayloadExchange {
  const { network, store, task, hash, clock, onBadChunk, onServed } = parts
  const sources = createSources(clock)
  const { held, answer } = createPayloadServing({ task, store, hash, clock, ...(onServed && { onServed }) }, sources.told)
  const memory = createSharedMemory(clock)
  const turns = createTurns(PULLS, clock)
  const lanes = createLanes(LIMITS.chunksInFlight)
  const pulls = new Map<string, Pull>()

  /** A number that is the same for the same peer and text, and differs from peer to peer: who asks whom is spread without a draw. */
  function rank(peer: PeerId, text: string): number {
    const digest = hash(new TextEncoder().encode(`${network.self} ${peer} ${text}`))
    return new DataView(digest.buffer, digest.byteOffset).getUint32(0)
  }

  const holding = createHolding(clock, HAVE_ROOTS, (roots) => {
    const body = encodeRequest({ task, hash: Uint8Array.from(roots.flatMap((root) => [...root])), part: { case: 'have', value: true } })
    return { peers: network.peers(), rank, tell: (peer) => network.request(peer, PAYLOAD_PROTOCOL, body) }
  })

  network.serve(PAYLOAD_PROTOCOL, answer)

  /** Asks one source for one part; what comes has exactly `length` bytes. */
  async function ask(
    source: PeerId,
    ref: PayloadRef,
    part: PayloadRequest['part'],
    length: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const body = encodeRequest({ task, hash: ref.hash, part })
    const timeout = part.case === 'chunk' ? CHUNK_MILLIS * Math.max(1, sources.asked()) : LIMITS.requestMillis
    const until = clock.now() + timeout
    for (;;) {
      const { bytes, retryMillis } = await askOnce(source, body, timeout, signal)
      if (retryMillis === 0 || bytes.length > 0) {
        if (bytes.length !== length) throw new Lie(`it sent ${bytes.length} bytes where ${length} belong`)
        return bytes
      }
      const wait = Math.min(retryMillis, LONGEST_RETRY_MILLIS)
      if (clock.now() + wait > until) throw new Error('it has sent as much as it sends to one peer')
      await untilAborted(new Promise<void>((resolve) => void clock.after(wait, resolve)), signal)
    }
  }

  async function askOnce(source: PeerId, body: Uint8Array, timeout: number, signal: AbortSignal): Promise<PayloadResponse> {
    let response: Uint8Array
    try {
      const options = { signal, timeout, lend: true }
      response = await lanes.run(source, signal, () => network.request(source, PAYLOAD_PROTOCOL, body, options))
    } catch (error) {
      throw isMurmurError(error, 'peer-refused') ? new Refusal(error.message) : error
    }
    try {
      return fromBinary(PayloadResponseSchema, response)
    } catch {
      throw new Lie('it sent something that is not a part of a payload')
    }
  }

  /** Who is known to hold it, those first of whom least is asked; then the others, as they were named. */
  function candidates(pull: Pull, root: string): PeerId[] {
    const lists = [...pull.sources].map((list) => list())
    const named = [...new Set(lists.flat())].filter((peer) => peer !== network.self)
    const authors = new Set(lists.map(([first]) => first))
    const isHolder = (peer: PeerId) => authors.has(peer) || sources.isHolder(peer, root)
    const holders = named.filter(isHolder)
    holders.sort((a, b) => sources.load(a) - sources.load(b) || rank(a, root) - rank(b, root))
    return [...holders, ...named.filter((peer) => !isHolder(peer))]
  }

  async function run(root: string, pull: Pull): Promise<Uint8Array> {
    const { ref, stopping } = pull
    if (chunkCount(ref.length) <= PART_CHUNKS) return await fill(root, pull, wholeOnly(root, ref.length))
    const turn = await turns.begin(stopping.signal)
    pull.progress.add(turn.progress)
    try {
      return await fill(root, pull, await openPart(root, pull))
    } finally {
      turn.end()
    }
  }

  async function fill(root: string, pull: Pull, part: PartialObject): Promise<Uint8Array> {
    const { ref, stopping } = pull
    try {
      await pullPart({
        ...{ ref, root, part, hash, clock, sources, signal: stopping.signal },
        candidates: () => candidates(pull, root),
        ask: (source, what, length, signal) => ask(source, ref, what, length, signal),
        onProgress: (bytes, source) => {
          for (const tell of pull.progress) tell(bytes, source)
        },
        onLie: (source) => onBadChunk?.(source),
      })
    } catch (error) {
      await part.leave()
      throw stopping.signal.aborted ? stopped(root) : error
    }
    await part.finish()
    // Whoever has just got a payload is soon asked for it.
    pull.release = held.put(root, part.payload, pull.release ?? (() => {}), part.list)
    if (chunkCount(ref.length) > 1) holding.add(ref.hash)
    return part.payload
  }

  async function openPart(root: string, pull: Pull): Promise<PartialObject> {
    if (!pull.isLent) return await store.openPart(root, pull.ref.length)
    const bytes = memory.take(pull.ref.length)
    pull.release = () => memory.giveBack(bytes)
    try {
      const part = await store.openPart(root, pull.ref.length, bytes)
      // Some stores keep what they are given.
      if (part.payload !== bytes) letGo(pull)
      return part
    } catch (error) {
      letGo(pull)
      throw error
    }
  }

  function letGo(pull: Pull): void {
    pull.release?.()
    delete pull.release
  }

  /** A payload that is not worth keeping until it is whole. */
  function wholeOnly(root: string, length: number): PartialObject {
    const payload = new Uint8Array(length)
    return { payload, chunks: new Set(), save() {}, finish: () => store.putObject(root, payload), async leave() {} }
  }

  /** @param former that was given up, and may still hold the part */
  function begin(key: string, ref: PayloadRef, isLent: boolean, former?: Pull): Pull {
    const start = async () => {
      await former?.result.catch(() => {})
      return (former && (await store.getObject(key))) ?? (await run(key, pull))
    }
    const pull: Pull = {
      ...{ ref, isLent },
      sources: new Set(),
      progress: new Set(),
      stopping: new AbortController(),
      waiting: 0,
      isOver: false,
      result: Promise.resolve().then(start),
    }
    pull.result
      .catch(() => {})
      .finally(() => {
        if (pulls.get(key) === pull) pulls.delete(key)
        pull.isOver = true
        if (pull.waiting === 0) letGo(pull)
      })
    pulls.set(key, pull)
    return pull
  }

  async function lend<T>(
    ref: PayloadRef,
    sources: () => PeerId[],
    use: (payload: Uint8Array) => T | Promise<T>,
    { signal, onProgress }: PullOptions = {},
    isLent = true,
  ): Promise<T> {
    checkRef(ref)
    const key = toText(ref.hash, 'hex')
    if (signal?.aborted) throw stopped(key)
    const there = await store.getObject(key)
    if (there !== undefined) return await use(there)
    const running = pulls.get(key)
    const pull = running?.stopping.signal.aborted === false ? running : begin(key, ref, isLent, running)
    // The same bytes under another length would be a lie in one of the two records.
    if (pull.ref.length !== ref.length) {
      throw new MurmurError(
        'task-mismatch',
        `The payload ${key.slice(0, 16)}… is announced with ${ref.length} and with ${pull.ref.length} bytes.`,
      )
    }
    pull.waiting++
    pull.sources.add(sources)
    if (onProgress) pull.progress.add(onProgress)
    try {
      return await use(await (signal === undefined ? pull.result : untilAborted(pull.result, signal)))
    } catch (error) {
      throw signal?.aborted ? stopped(key) : error
    } finally {
      pull.sources.delete(sources)
      if (onProgress) pull.progress.delete(onProgress)
      pull.waiting--
      if (pull.waiting === 0) {
        pull.stopping.abort()
        if (pull.isOver) letGo(pull)
      }
    }
  }

  /** Where another has it lent, a copy. */
  const own = (payload: Uint8Array) => (payload.buffer instanceof SharedArrayBuffer ? payload.slice() : payload)

  return {
    lend,
    pull: (ref, sources, options) => lend(ref, sources, own, options, false),
  }
}

const stopped = (key: string): MurmurError => new MurmurError('cancelled', `Pulling the payload ${key.slice(0, 16)}… was stopped.`)

const encodeRequest = (request: Pick<PayloadRequest, 'task' | 'hash' | 'part'>): Uint8Array =>
  toBinary(PayloadRequestSchema, create(PayloadRequestSchema, request))

function checkRef(ref: PayloadRef): void {
  if (ref.hash.length !== HASH_BYTES)
    throw new MurmurError('bad-argument', `A payload's hash has ${HASH_BYTES} bytes, not ${ref.hash.length}.`)
  if (ref.length > LIMITS.payloadBytes || !Number.isInteger(ref.length) || ref.length < 0) {
    throw new MurmurError('limit-exceeded', `A payload of ${ref.length} bytes is not pulled; at most ${LIMITS.payloadBytes} are accepted.`)
  }
}
