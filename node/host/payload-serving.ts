// The serving half of the payload exchange: parts of payloads for members that ask, each its share, and word of who holds what.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { equals } from 'uint8arrays/equals'
import { toString as toText } from 'uint8arrays/to-string'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { HASH_BYTES } from '../../protocol/payload.ts'
import { varint } from '../../protocol/varint.ts'
import { type PayloadRequest, PayloadRequestSchema, PayloadResponseSchema } from '../../protocol/wire_pb.ts'
import { createRateLimit } from '../rate-limit.ts'
import { createHeld, type Held } from './held-payloads.ts'
import type { PayloadExchangeParts } from './payload-exchange.ts'
import type { Handler } from './serving.ts'

/** Payloads that one peer may tell of at a time. */
export const HAVE_ROOTS = 64
/** Milliseconds after which a peer that has had its share may ask again. */
const RETRY_MILLIS = 250

/** @param told a peer says that it holds these */
export function createPayloadServing(
  { task, store, hash, clock, onServed }: Pick<PayloadExchangeParts, 'task' | 'store' | 'hash' | 'clock' | 'onServed'>,
  told: (peer: PeerId, roots: string[]) => void,
): { held: Held; answer: Handler } {
  const held = createHeld(store, hash, clock)
  const served = createRateLimit({ perSecond: LIMITS.servedBytesPerSecond, burst: LIMITS.servedBytesBurst, keys: LIMITS.members }, clock)

  const answer: Handler = async (body, from) => {
    const { task: asked, hash: root, part } = readRequest(body)
    if (!equals(asked, task)) throw new MurmurError('peer-refused', 'this peer works on another task')
    if (part.case === 'have') {
      told(from, rootsIn(root))
      return new Uint8Array()
    }
    // Before the disk is read; a hash list costs about as much as a chunk.
    if (!served.take(from, LIMITS.chunkBytes)) {
      return toBinary(PayloadResponseSchema, create(PayloadResponseSchema, { retryMillis: RETRY_MILLIS }))
    }
    const key = toText(root, 'hex')
    const lent = part.case === 'chunk' ? await held.chunk(key, part.value) : await held.hashList(key)
    if (lent === undefined) throw new MurmurError('peer-refused', 'this peer does not hold the payload')
    onServed?.(from, lent.bytes.length)
    return { parts: responseOf(lent.bytes), done: lent.done }
  }

  return { held, answer }
}

/** The encoded response in two parts: putting a chunk into one message would copy it. */
function responseOf(bytes: Uint8Array): Uint8Array[] {
  // What is empty is not written.
  if (bytes.length === 0) return []
  return [Uint8Array.from([BYTES_TAG, ...varint(bytes.length)]), bytes]
}

/** Field 1, length-delimited. */
const BYTES_TAG = 0x0a

const rootsIn = (hashes: Uint8Array): string[] =>
  Array.from({ length: hashes.length / HASH_BYTES }, (_, i) => toText(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES), 'hex'))

function readRequest(body: Uint8Array): PayloadRequest {
  let request: PayloadRequest | undefined
  try {
    request = fromBinary(PayloadRequestSchema, body)
  } catch {
    // Said below, as for a request without a part.
  }
  const hashes = (request?.hash.length ?? 0) / HASH_BYTES
  const most = request?.part.case === 'have' ? HAVE_ROOTS : 1
  if (request?.part.case === undefined || !Number.isInteger(hashes) || hashes < 1 || hashes > most) {
    throw new MurmurError('peer-refused', 'this is not a request for a payload')
  }
  return request
}
