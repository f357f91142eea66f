// The answering half of request/response, the same over libp2p streams and the lab's bus: handlers by protocol, bounds, and the reply's bytes.
import { concat } from 'uint8arrays/concat'
import { type ErrorCode, isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { type PeerId, shortId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Gate, Lent, Network } from '../ports.ts'
import { createRateLimit } from '../rate-limit.ts'
import { originOf } from './origin.ts'
import { createSlots } from './slots.ts'
import { oneLine } from './why.ts'

export type Handler = Parameters<Network['serve']>[1]

/** Characters of a refusal's message. */
const REASON_LENGTH = 300

/** Requests that strangers from one address may ask for at once: whoever joins asks for the task, then to be let in. */
const STRANGER_BURST = 4

/** Failures that are ours to know: a path of this machine is nothing to tell a stranger. */
const OURS: ReadonlySet<ErrorCode> = new Set(['disk-failed', 'directory-invalid', 'internal'])

const OK = 0
const REFUSED = 1
/** Bytes of the longest reply: a status byte and the response. */
export const REPLY_BYTES = 1 + LIMITS.responseBytes

export interface Serving {
  set(protocol: string, handler: Handler): void
  /** From now on `gate` says who is answered. */
  admit(gate: Gate): void
  protocols(): string[]
  isStranger(peer: PeerId): boolean
  /** Bytes of the longest request that is read of this peer. */
  requestBytes(peer: PeerId): number
  /**
   * The reply: a status byte and the body, or a status byte and the reason in UTF-8. Not put together: a copy of each chunk would cost more than
   * its encryption. Never rejects.
   */
  answerInParts(protocol: string, body: Uint8Array, from: PeerId, address: string): Promise<Lent>
}

/** `address` is where the asking peer is connected from. */
export function createServing(clock: Clock): Serving {
  const handlers = new Map<string, Handler>()
  let gate: Gate | undefined
  const inFlight = createSlots(LIMITS.requestsInFlight)
  const { strangers: keys, strangerRequestsPerSecond: perSecond } = LIMITS
  const strangers = createRateLimit({ perSecond, burst: STRANGER_BURST, keys: 4 * keys }, clock)
  const strangersInFlight = createSlots(LIMITS.requestsInFlight, LIMITS.strangers)

  const isStranger = (peer: PeerId) => gate !== undefined && !gate.isMember(peer)
  const requestBytes = (peer: PeerId) => (isStranger(peer) ? LIMITS.strangerRequestBytes : LIMITS.requestBytes)

  /** The one check ahead of every protocol. @throws peer-refused, limit-exceeded */
  async function handle(protocol: string, body: Uint8Array, from: PeerId, address: string): Promise<Lent> {
    if (!isStranger(from)) return await respond(protocol, body, from)
    if (!gate?.open.has(protocol)) throw new MurmurError('peer-refused', 'only members of the network are answered')
    if (!strangers.take(originOf(address))) throw new MurmurError('peer-refused', 'busy: ask again in a few seconds')
    const giveBack = strangersInFlight.take(from)
    if (giveBack === undefined) throw new MurmurError('peer-refused', 'busy with others: ask again in a few seconds')
    try {
      return await respond(protocol, body, from)
    } finally {
      giveBack()
    }
  }

  async function respond(protocol: string, body: Uint8Array, from: PeerId): Promise<Lent> {
    const handler = handlers.get(protocol)
    if (handler === undefined) throw new MurmurError('peer-refused', `${protocol} is not served`)
    const most = requestBytes(from)
    if (body.length > most) throw new MurmurError('limit-exceeded', tooLongRequest(body.length, most))
    const response = await handler(body, from)
    const reply = response instanceof Uint8Array ? whole(response) : response
    const length = lengthOf(reply.parts)
    if (length <= LIMITS.responseBytes) return reply
    reply.done()
    throw new MurmurError('limit-exceeded', `the response would have ${length} bytes; at most ${LIMITS.responseBytes} are sent`)
  }

  async function answerInParts(protocol: string, body: Uint8Array, from: PeerId, address: string): Promise<Lent> {
    const giveBack = inFlight.take(from)
    if (giveBack === undefined) return whole(refusal(`busy: ${LIMITS.requestsInFlight} requests of yours are being answered`))
    try {
      const { parts, done } = await handle(protocol, body, from, address)
      return { parts: [Uint8Array.of(OK), ...parts], done }
    } catch (error) {
      return whole(refusal(isMurmurError(error) && !OURS.has(error.code) ? error.message : 'the request could not be answered'))
    } finally {
      giveBack()
    }
  }

  return {
    set: (protocol, handler) => void handlers.set(protocol, handler),
    admit: (next) => {
      gate = next
    },
    protocols: () => [...handlers.keys()],
    isStranger,
    requestBytes,
    answerInParts,
  }
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(oneLine(text, REASON_LENGTH))

/** A reply that nothing has to be given back for. */
export const whole = (bytes: Uint8Array): Lent => ({ parts: [bytes], done() {} })

const lengthOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0)

export const tooLongRequest = (length: number, most: number): string => `the request has ${length} bytes; at most ${most} are accepted`

/** A reply that says no. */
export const refusal = (why: string): Uint8Array => concat([Uint8Array.of(REFUSED), utf8(why)])

/** The body of a reply. @throws peer-refused with the other side's reason; limit-exceeded */
export function readReply(bytes: Uint8Array, peer: PeerId): Uint8Array {
  if (bytes.length > REPLY_BYTES) throw tooLong(peer)
  const body = bytes.subarray(1)
  if (bytes[0] === OK) return body
  const reason = bytes[0] === REFUSED ? oneLine(new TextDecoder().decode(body.subarray(0, 4 * REASON_LENGTH)), REASON_LENGTH) : ''
  throw new MurmurError('peer-refused', reason === '' ? `Peer …${shortId(peer)} refused without a reason.` : reason)
}

/** @throws limit-exceeded */
export function checkRequest(body: Uint8Array, protocol: string): void {
  if (body.length <= LIMITS.requestBytes) return
  throw new MurmurError(
    'limit-exceeded',
    `A request on ${protocol} has ${body.length} bytes; at most ${LIMITS.requestBytes} can be sent. Ask for less at once.`,
  )
}

/** @throws limit-exceeded */
export function checkMessage(message: Uint8Array, topic: string): void {
  if (message.length <= LIMITS.gossipBytes) return
  throw new MurmurError(
    'limit-exceeded',
    `A message of ${message.length} bytes on ${topic} cannot be published; at most ${LIMITS.gossipBytes} can. Announce it, and let peers pull the rest.`,
  )
}

export const tooLong = (peer: PeerId): MurmurError =>
  new MurmurError('limit-exceeded', `Peer …${shortId(peer)} answered with more than ${LIMITS.responseBytes} bytes; the answer was dropped.`)

export const unreachable = (peer: PeerId, why: string, cause?: unknown): MurmurError =>
  new MurmurError('peer-unreachable', `Peer …${shortId(peer)} did not answer: ${why}.`, { cause })

export const cancelledRequest = (): MurmurError => new MurmurError('cancelled', 'The request was stopped.')
