// One payload pulled: from one source, and from a second at the other end while the first is quiet. The first good chunk counts.
import { equals } from 'uint8arrays/equals'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { chunkCount, HASH_BYTES, type Hash, type PayloadRef } from '../../protocol/payload.ts'
import type { PayloadRequest } from '../../protocol/wire_pb.ts'
import type { Clock, PartialObject } from '../ports.ts'
import { LOOK_MILLIS, type Sources } from './payload-sources.ts'
import { whyOf } from './why.ts'

/** Times that a source is asked which does not deliver: it may only be busy, and nobody else may have the payload. */
const TRIES = 3

/** What a source did wrong: it is never asked again for this payload. */
export class Lie extends Error {}
/** A source says that it does not have the payload, which is no fault. */
export class Refusal extends Error {}

export interface PullParts {
  ref: PayloadRef
  root: string
  part: PartialObject
  hash: Hash
  clock: Clock
  sources: Sources
  /** Whom to ask now: those who are known to hold it, best first, and others. */
  candidates(): PeerId[]
  /** Asks for one part of the payload; what comes has exactly `length` bytes and lasts until the event loop's next turn. */
  ask(source: PeerId, part: PayloadRequest['part'], length: number, signal: AbortSignal): Promise<Uint8Array>
  onProgress(bytes: number, source: PeerId): void
  onLie(source: PeerId): void
  signal: AbortSignal
}

/** A source that is being asked. */
interface Session {
  source: PeerId
  /** Takes chunks from the end, so that the two meet. */
  fromEnd: boolean
  ending: AbortController
  /** Chunks that it is asked for now, each with what stops asking. */
  fetching: Map<number, AbortController>
  over: Promise<void>
}

/** Fills `part`. @throws peer-unreachable where no source delivered; the reason of `signal` */
export async function pullPart(pull: PullParts): Promise<void> {
  const { ref, root, part, hash, clock, sources, signal } = pull
  const count = chunkCount(ref.length)
  const lengthOf = (index: number) => Math.min(LIMITS.chunkBytes, ref.length - index * LIMITS.chunkBytes)
  /** Chunks that are neither there nor asked for, in order. */
  const open = [...Array(count).keys()].filter((index) => !part.chunks.has(index))
  const sessions = new Set<Session>()
  const failures = new Map<PeerId, number>()
  const without = new Set<PeerId>()
  let bytes = [...part.chunks].reduce((sum, index) => sum + lengthOf(index), 0)
  let why = 'no peer is known to hold it'
  const failed = (source: PeerId) => failures.get(source) ?? 0
  let wake = () => {}

  /** The next chunk for a session; where all are being asked for, one that the other session has not got yet. */
  function claim(session: Session): number | undefined {
    if (session.ending.signal.aborted) return undefined
    const next = session.fromEnd ? open.pop() : open.shift()
    if (next !== undefined) return next
    const [other] = [...sessions].filter((each) => each !== session)
    const theirs = [...(other?.fetching.keys() ?? [])].filter((index) => !session.fetching.has(index) && !part.chunks.has(index))
    return session.fromEnd ? theirs.at(-1) : theirs[0]
  }

  function giveBack(session: Session, index: number): void {
    session.fetching.delete(index)
    if (part.chunks.has(index) || [...sessions].some(({ fetching }) => fetching.has(index))) return
    open.push(index)
    open.sort((a, b) => a - b)
  }

  function accept(source: PeerId, index: number, chunk: Uint8Array): void {
    if (!equals(hash(chunk), part.list!.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES))) {
      throw new Lie(`its chunk ${index} does not have the signed hash`)
    }
    sources.got(source, chunk.length)
    if (part.chunks.has(index)) return
    part.payload.set(chunk, index * LIMITS.chunkBytes)
    part.chunks.add(index)
    part.save(index)
    bytes += chunk.length
    pull.onProgress(bytes, source)
    for (const { fetching } of sessions) fetching.get(index)?.abort()
  }

  /** One of a few that take chunks until none is left. */
  async function take(session: Session): Promise<void> {
    while (true) {
      session.ending.signal.throwIfAborted()
      const index = claim(session)
      if (index === undefined) return
      const stop = new AbortController()
      session.fetching.set(index, stop)
      try {
        const either = AbortSignal.any([session.ending.signal, stop.signal])
        const chunk = await pull.ask(session.source, { case: 'chunk', value: index }, lengthOf(index), either)
        // Now it is the own turn to stop asking, not to be stopped.
        session.fetching.delete(index)
        accept(session.source, index, chunk)
      } catch (error) {
        giveBack(session, index)
        if (!part.chunks.has(index) || error instanceof Lie) throw error
      }
    }
  }

  async function converse(session: Session): Promise<void> {
    const { source, ending } = session
    if (part.list === undefined) {
      const list = await pull.ask(source, { case: 'hashList', value: true }, count * HASH_BYTES, ending.signal)
      if (!equals(hash(list), ref.hash)) throw new Lie('its hash list does not have the signed hash')
      part.list ??= list.slice()
    }
    const takers = Array.from({ length: LIMITS.chunksInFlight }, () =>
      // Whoever fails once is asked for nothing more.
      take(session).catch((error: unknown) => ending.abort(error)),
    )
    await Promise.all(takers)
    ending.signal.throwIfAborted()
  }

  function begin(source: PeerId): void {
    const fromEnd = [...sessions].some((other) => !other.fromEnd)
    const session: Session = { source, fromEnd, ending: new AbortController(), fetching: new Map(), over: Promise.resolve() }
    const done = sources.ask(source)
    sessions.add(session)
    session.over = converse(session)
      .catch((error: unknown) => {
        const cause = session.ending.signal.aborted ? (session.ending.signal.reason ?? error) : error
        why = whyOf(cause).replace(/\.$/, '')
        if (cause instanceof Refusal) {
          without.add(source)
          sources.refused(source, root)
        } else failures.set(source, failed(source) + 1)
        if (!(cause instanceof Lie)) return
        sources.lied(source, root)
        pull.onLie(source)
      })
      .finally(() => {
        sessions.delete(session)
        done()
      })
  }

  function nextSource(): PeerId | undefined {
    const isBusy = (peer: PeerId) => [...sessions].some(({ source }) => source === peer)
    const lacks = (peer: PeerId) => without.has(peer) && !sources.isHolder(peer, root)
    const left = pull.candidates().filter((peer) => failed(peer) < TRIES && !lacks(peer) && !isBusy(peer) && sources.isUsable(peer, root))
    const fewest = Math.min(...left.map(failed))
    return left.find((peer) => failed(peer) === fewest)
  }

  /** Settles when a session ends, and at the latest at the next look. */
  async function change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = clock.after(LOOK_MILLIS, resolve)
    wake = resolve
    await Promise.race([promise, ...[...sessions].map(({ over }) => over)])
    cancel()
  }

  const onAbort = () => wake()
  signal.addEventListener('abort', onAbort)
  try {
    while (part.chunks.size < count) {
      signal.throwIfAborted()
      const [only] = sessions
      const isWanted = sessions.size === 0 || (sessions.size === 1 && only !== undefined && sources.isQuiet(only.source))
      const next = isWanted ? nextSource() : undefined
      if (next !== undefined) begin(next)
      else if (sessions.size === 0) {
        throw new MurmurError('peer-unreachable', `The payload ${root.slice(0, 16)}… of ${ref.length} bytes could not be pulled: ${why}.`)
      }
      await change()
      for (const { source, ending } of sessions) {
        if (sources.isSlow(source)) ending.abort(new Error(`it delivers less than ${LIMITS.slowestBytesPerSecond} bytes a second`))
      }
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    const left = [...sessions]
    for (const { ending } of left) ending.abort(new Error('the pull is over'))
    // They must not write into the payload any more once others have it.
    await Promise.all(left.map(({ over }) => over))
  }
}
