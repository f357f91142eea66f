// Payloads by their root hash: serves those in the store, and pulls missing ones chunk by chunk, each checked, from whoever holds them.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { equals } from 'uint8arrays/equals'
import { toString as toText } from 'uint8arrays/to-string'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { chunkCount, HASH_BYTES, type Hash, type PayloadRef } from '../../protocol/payload.ts'
import { type PayloadRequest, PayloadRequestSchema, PayloadResponseSchema } from '../../protocol/wire_pb.ts'
import type { Clock, Network, PayloadExchange, Store } from '../ports.ts'
import { untilAborted } from './deadline.ts'
import { createHeld } from './held-payloads.ts'
import { createLanes } from './lanes.ts'
import { whyOf } from './why.ts'

export const PAYLOAD_PROTOCOL = '/murmuration/payload/1'

/** The slowest link that is worth waiting for. */
const BYTES_A_SECOND = 32 * 1024
/** Milliseconds a chunk may take: all that are in flight share the link. */
const CHUNK_MILLIS = (1000 * LIMITS.chunksInFlight * LIMITS.chunkBytes) / BYTES_A_SECOND

export interface PayloadExchangeParts {
  network: Network
  store: Pick<Store, 'getObject' | 'putObject'>
  /** The task's id, 32 bytes: payloads of other tasks are not served. */
  task: Uint8Array
  hash: Hash
  clock: Clock
  /** A peer sent bytes that do not have the signed hash. */
  onBadChunk?: (peer: PeerId) => void
}

type PullOptions = NonNullable<Parameters<PayloadExchange['pull']>[2]>

/** What a source did wrong: it is never asked again for this payload. */
class Lie extends Error {}

/** One pull, shared by everyone who waits for the same payload. */
interface Pull {
  ref: PayloadRef
  sources: Set<() => PeerId[]>
  progress: Set<NonNullable<PullOptions['onProgress']>>
  stopping: AbortController
  waiting: number
  result: Promise<Uint8Array>
}

/** Serves from now on. `pull` throws peer-unreachable where no source delivered, limit-exceeded, cancelled, and what the store throws. */
export function createPayloadExchange(parts: PayloadExchangeParts): PayloadExchange {
  const { network, store, task, hash, clock, onBadChunk } = parts
  const held = createHeld(store, hash, clock)
  const lanes = createLanes(LIMITS.chunksInFlight)
  const pulls = new Map<string, Pull>()

  network.serve(PAYLOAD_PROTOCOL, async (body) => {
    const { task: asked, hash: root, part } = readRequest(body)
    if (!equals(asked, task)) throw new MurmurError('peer-refused', 'this peer works on another task')
    const payload = await held.get(toText(root, 'hex'))
    if (payload === undefined) throw new MurmurError('peer-refused', 'this peer does not hold the payload')
    const bytes = part.case === 'chunk' ? payload.chunk(part.value) : await payload.hashList()
    return toBinary(PayloadResponseSchema, create(PayloadResponseSchema, { bytes }))
  })

  /** Asks one source for one part; what comes has exactly `length` bytes. */
  async function ask(
    source: PeerId,
    ref: PayloadRef,
    part: PayloadRequest['part'],
    length: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const body = toBinary(PayloadRequestSchema, create(PayloadRequestSchema, { task, hash: ref.hash, part }))
    const timeout = part.case === 'chunk' ? CHUNK_MILLIS : LIMITS.requestMillis
    const response = await lanes.run(source, signal, () => network.request(source, PAYLOAD_PROTOCOL, body, { signal, timeout }))
    let bytes: Uint8Array
    try {
      bytes = fromBinary(PayloadResponseSchema, response).bytes
    } catch {
      throw new Lie('it sent something that is not a part of a payload')
    }
    if (bytes.length !== length) throw new Lie(`it sent ${bytes.length} bytes where ${length} belong`)
    return bytes
  }

  /** Fills `have` with what is missing, from one source. */
  async function pullFrom(source: PeerId, pull: Pull, have: Assembly, signal: AbortSignal): Promise<void> {
    const { ref } = pull
    if (have.hashes === undefined) {
      const list = await ask(source, ref, { case: 'hashList', value: true }, chunkCount(ref.length) * HASH_BYTES, signal)
      if (!equals(hash(list), ref.hash)) throw new Lie('its hash list does not have the signed hash')
      have.hashes = list
      have.payload = new Uint8Array(ref.length)
    }
    const { hashes, payload } = have
    const missing = [...have.missing]
    const ending = new AbortController()
    const either = AbortSignal.any([signal, ending.signal])
    /** One of a few that take chunks off the list until it is empty. */
    async function take(): Promise<void> {
      for (let index = missing.shift(); index !== undefined; index = missing.shift()) {
        const start = index * LIMITS.chunkBytes
        const end = Math.min(start + LIMITS.chunkBytes, ref.length)
        const bytes = await ask(source, ref, { case: 'chunk', value: index }, end - start, either)
        if (!equals(hash(bytes), hashes!.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES))) {
          throw new Lie(`its chunk ${index} does not have the signed hash`)
        }
        payload!.set(bytes, start)
        have.missing.delete(index)
        have.bytes += bytes.length
        for (const tell of pull.progress) tell(have.bytes)
      }
    }
    const takers = Array.from({ length: Math.min(LIMITS.chunksInFlight, missing.length) }, take)
    try {
      await Promise.all(takers)
    } catch (error) {
      ending.abort(error)
      // The others must not write into the payload any more once the next source is asked.
      await Promise.allSettled(takers)
      throw error
    }
  }

  async function run(key: string, pull: Pull): Promise<Uint8Array> {
    const { ref, stopping } = pull
    const have: Assembly = { missing: new Set(Array(chunkCount(ref.length)).keys()), bytes: 0 }
    const tried = new Set<PeerId>([network.self])
    let why = 'no peer is known to hold it'
    while (have.missing.size > 0) {
      const source = [...pull.sources].flatMap((list) => list()).find((peer) => !tried.has(peer))
      if (source === undefined) {
        throw new MurmurError('peer-unreachable', `The payload ${key.slice(0, 16)}… of ${ref.length} bytes could not be pulled: ${why}.`)
      }
      tried.add(source)
      try {
        await pullFrom(source, pull, have, stopping.signal)
      } catch (error) {
        if (stopping.signal.aborted) throw stopped(key)
        why = whyOf(error).replace(/\.$/, '')
        if (error instanceof Lie) onBadChunk?.(source)
      }
    }
    const payload = have.payload!
    await store.putObject(key, payload)
    // Whoever has just got a payload is soon asked for it.
    held.put(key, payload)
    return payload
  }

  function begin(key: string, ref: PayloadRef): Pull {
    const pull: Pull = {
      ref,
      sources: new Set(),
      progress: new Set(),
      stopping: new AbortController(),
      waiting: 0,
      result: Promise.resolve().then(() => run(key, pull)),
    }
    pull.result.catch(() => {}).finally(() => pulls.get(key) === pull && pulls.delete(key))
    pulls.set(key, pull)
    return pull
  }

  return {
    async pull(ref, sources, { signal, onProgress } = {}) {
      checkRef(ref)
      const key = toText(ref.hash, 'hex')
      if (signal?.aborted) throw stopped(key)
      const there = await store.getObject(key)
      if (there !== undefined) return there
      const pull = pulls.get(key) ?? begin(key, ref)
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
        return await (signal === undefined ? pull.result : untilAborted(pull.result, signal))
      } catch (error) {
        throw signal?.aborted ? stopped(key) : error
      } finally {
        pull.sources.delete(sources)
        if (onProgress) pull.progress.delete(onProgress)
        pull.waiting--
        if (pull.waiting === 0) {
          pull.stopping.abort()
          if (pulls.get(key) === pull) pulls.delete(key)
        }
      }
    },
  }
}

/** A payload that is being put together. */
interface Assembly {
  hashes?: Uint8Array
  payload?: Uint8Array
  missing: Set<number>
  bytes: number
}

const stopped = (key: string): MurmurError => new MurmurError('cancelled', `Pulling the payload ${key.slice(0, 16)}… was stopped.`)

function readRequest(body: Uint8Array): PayloadRequest {
  let request: PayloadRequest | undefined
  try {
    request = fromBinary(PayloadRequestSchema, body)
  } catch {
    // Said below, as for a request without a part.
  }
  if (request?.part.case === undefined || request.hash.length !== HASH_BYTES) {
    throw new MurmurError('peer-refused', 'this is not a request for a payload')
  }
  return request
}

function checkRef(ref: PayloadRef): void {
  if (ref.hash.length !== HASH_BYTES)
    throw new MurmurError('bad-argument', `A payload's hash has ${HASH_BYTES} bytes, not ${ref.hash.length}.`)
  if (ref.length > LIMITS.payloadBytes || !Number.isInteger(ref.length) || ref.length < 0) {
    throw new MurmurError('limit-exceeded', `A payload of ${ref.length} bytes is not pulled; at most ${LIMITS.payloadBytes} are accepted.`)
  }
}
