// The answering half of request/response, the same over libp2p streams and the lab's bus: handlers by protocol, bounds, and the reply's bytes.
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { type PeerId, shortId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Gate, Network } from '../ports.ts'
import { oneLine } from './why.ts'

export type Handler = Parameters<Network['serve']>[1]

/** Characters of a refusal's message. */
const REASON_LENGTH = 300

const OK = 0
const REFUSED = 1
/** Bytes of the longest reply: a status byte and the response. */
export const REPLY_BYTES = 1 + LIMITS.responseBytes

export interface Serving {
  set(protocol: string, handler: Handler): void
  /** From now on `gate` says who is answered. */
  admit(gate: Gate): void
  protocols(): string[]
  /** The reply's bytes: a status byte and the body, or a status byte and the reason in UTF-8. Never rejects. */
  answer(protocol: string, body: Uint8Array, from: PeerId): Promise<Uint8Array>
}

export function createServing(): Serving {
  const handlers = new Map<string, Handler>()
  let gate: Gate | undefined
  const inFlight = new Map<PeerId, number>()

  async function handle(protocol: string, body: Uint8Array, from: PeerId): Promise<Uint8Array> {
    const handler = handlers.get(protocol)
    if (handler === undefined) throw new MurmurError('peer-refused', `${protocol} is not served`)
    const isStranger = gate !== undefined && !gate.isMember(from)
    if (isStranger && !gate?.open.has(protocol)) throw new MurmurError('peer-refused', 'only members of the network are answered')
    const most = isStranger ? LIMITS.strangerRequestBytes : LIMITS.requestBytes
    if (body.length > most) throw new MurmurError('limit-exceeded', `the request has ${body.length} bytes; at most ${most} are accepted`)
    const response = await handler(body, from)
    if (response.length > LIMITS.responseBytes) {
      throw new MurmurError('limit-exceeded', `the response would have ${response.length} bytes; at most ${LIMITS.responseBytes} are sent`)
    }
    return response
  }

  return {
    set: (protocol, handler) => void handlers.set(protocol, handler),
    admit: (next) => {
      gate = next
    },
    protocols: () => [...handlers.keys()],
    async answer(protocol, body, from) {
      const busy = inFlight.get(from) ?? 0
      if (busy >= LIMITS.requestsInFlight) return reply(REFUSED, utf8(`busy: ${busy} requests of yours are being answered`))
      inFlight.set(from, busy + 1)
      try {
        return reply(OK, await handle(protocol, body, from))
      } catch (error) {
        // What else went wrong is ours to know: a stack or a path is nothing to tell a stranger.
        return reply(REFUSED, utf8(isMurmurError(error) ? error.message : 'the request could not be answered'))
      } finally {
        const left = (inFlight.get(from) ?? 1) - 1
        if (left > 0) inFlight.set(from, left)
        else inFlight.delete(from)
      }
    },
  }
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(oneLine(text, REASON_LENGTH))

function reply(status: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + body.length)
  bytes[0] = status
  bytes.set(body, 1)
  return bytes
}

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
