// Where a member says that it can be dialled: a signed list, of which the newest counts. Whether an address can be dialled is the host's to say.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { equals } from 'uint8arrays/equals'
import { openEnvelope, type Sign, sealEnvelope, type Verify } from './envelope.ts'
import type { PeerId } from './identity.ts'
import { LIMITS } from './limits.ts'
import type { RejectionCode } from './rejections.ts'
import { AddressesSchema } from './wire_pb.ts'

export interface Addresses {
  author: PeerId
  /** The envelope as received. */
  envelope: Uint8Array
  /** Milliseconds since 1970 by the author's clock; strictly increasing. */
  sequence: number
  /** Complete multiaddrs, the most reachable first; empty: it cannot be dialled. */
  addresses: string[]
}

/** Printable ASCII: what a multiaddr consists of, and what a terminal shows as it is. */
const isShortText = (text: string): boolean => /^[!-~]+$/.test(text) && text.length <= LIMITS.addressBytes

/** Addresses beyond the limits are left out. */
export function sealAddresses(
  { sequence, addresses }: Pick<Addresses, 'sequence' | 'addresses'>,
  task: Uint8Array,
  signer: { peerId: PeerId; publicKey: Uint8Array; sign: Sign },
): Addresses {
  let told = addresses.filter(isShortText).slice(0, LIMITS.addresses)
  for (;;) {
    const signed = toBinary(AddressesSchema, create(AddressesSchema, { task, sequence: BigInt(sequence), addresses: told }))
    const envelope = sealEnvelope('murmuration-addresses', signed, signer)
    if (envelope.length <= LIMITS.recordBytes) return { author: signer.peerId, envelope, sequence, addresses: told }
    told = told.slice(0, -1)
  }
}

export function openAddresses(envelope: Uint8Array, task: Uint8Array, verify: Verify): Addresses | RejectionCode {
  if (envelope.length > LIMITS.recordBytes) return 'too-large'
  const opened = openEnvelope(envelope, 'murmuration-addresses', verify)
  if (typeof opened === 'string') return opened
  let message: ReturnType<typeof fromBinary<typeof AddressesSchema>>
  try {
    message = fromBinary(AddressesSchema, opened.payload)
  } catch {
    return 'malformed'
  }
  const { sequence, addresses } = message
  if (!equals(message.task, task)) return 'wrong-task'
  if (sequence < 1n || sequence > BigInt(Number.MAX_SAFE_INTEGER)) return 'malformed'
  if (addresses.length > LIMITS.addresses || !addresses.every(isShortText)) return 'malformed'
  return { author: opened.author, envelope, sequence: Number(sequence), addresses }
}
