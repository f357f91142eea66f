// Peer ids: the libp2p Ed25519 key in its text form. A key's id is the key itself, so an id verifies without a look-up.
import { base58btc } from 'multiformats/bases/base58'

/** base58btc text of the identity multihash of the protobuf-encoded Ed25519 public key: `12D3KooW…`. */
export type PeerId = string

// multihash identity (0x00), length 36, then PublicKey { Type: Ed25519 (08 01), Data: 32 bytes (12 20 …) }
const PREFIX = Uint8Array.of(0x00, 0x24)
const KEY_PREFIX = Uint8Array.of(0x08, 0x01, 0x12, 0x20)
export const PUBLIC_KEY_BYTES = 36

/** True for a libp2p protobuf-encoded Ed25519 public key, the only kind a peer may have. */
export function isEd25519PublicKey(publicKey: Uint8Array): boolean {
  return publicKey.length === PUBLIC_KEY_BYTES && KEY_PREFIX.every((byte, i) => publicKey[i] === byte)
}

/** Ids made of late: the same few keys come with every record, and base58 takes as long as all else that reads one. */
const ids = new Map<string, PeerId>()
const IDS_KEPT = 2048

export function peerIdOf(publicKey: Uint8Array): PeerId {
  const name = String.fromCharCode(...publicKey)
  const known = ids.get(name)
  if (known !== undefined) return known
  const id = encodeId(publicKey)
  if (ids.size >= IDS_KEPT) ids.clear()
  ids.set(name, id)
  return id
}

function encodeId(publicKey: Uint8Array): PeerId {
  const multihash = new Uint8Array(PREFIX.length + PUBLIC_KEY_BYTES)
  multihash.set(PREFIX)
  multihash.set(publicKey, PREFIX.length)
  return base58btc.baseEncode(multihash)
}

/** The key that a peer id names: undefined where it is none of an Ed25519 key. */
export function publicKeyOf(peer: string): Uint8Array | undefined {
  try {
    const bytes = base58btc.baseDecode(peer)
    const publicKey = bytes.slice(PREFIX.length)
    return isEd25519PublicKey(publicKey) && peerIdOf(publicKey) === peer ? publicKey : undefined
  } catch {
    return undefined
  }
}

/** The last eight characters: what tables and messages show. */
export const shortId = (peer: PeerId): string => peer.slice(-8)
