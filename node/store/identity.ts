// Keys in files for their owner's eyes only: the peer's own, made once and the source of its name, and a founder's.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { join, resolve } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { MurmurError } from '../../protocol/errors.ts'
import { peerIdOf } from '../../protocol/identity.ts'
import type { Signer } from '../ports.ts'
import { createDurable, readIfPresent } from './files.ts'

export interface Identity {
  /** What libp2p runs with. */
  privateKey: Ed25519PrivateKey
  signer: Signer
}

/** PrivateKeyInfo of an Ed25519 key (RFC 8410) up to its 32 bytes of seed. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SEED_BYTES = 32
/** What libp2p's protobuf encoding of an Ed25519 public key begins with: its type, and the length of the key. */
const PROTOBUF_PREFIX = Uint8Array.of(0x08, 0x01, 0x12, 0x20)

/** The peer's own key, and the one that signs for a whole network: it need not stay where the peer is. */
export type KeyFile = 'identity.key' | 'founder.key'

/**
 * The key in `file` (libp2p's protobuf encoding, mode 0600), made there if the directory has none. Two callers at once get the same key.
 * @throws directory-invalid where the file is damaged; a damaged key is never replaced, for with it goes the peer's name
 * @throws disk-failed
 */
export async function loadOrCreateIdentity(dir: string, file: KeyFile = 'identity.key'): Promise<Identity> {
  const path = join(resolve(dir), file)
  let bytes = await readIfPresent(path)
  if (bytes === undefined) {
    const made = privateKeyToProtobuf(await generateKeyPair('Ed25519'))
    bytes = (await createDurable(path, made, { mode: 0o600 })) ? made : await readIfPresent(path)
  }
  return identityIn(bytes ?? new Uint8Array(), path)
}

/** The key in `file`, where the directory has one. @throws directory-invalid, disk-failed */
export async function loadIdentity(dir: string, file: KeyFile): Promise<Identity | undefined> {
  const path = join(resolve(dir), file)
  const bytes = await readIfPresent(path)
  return bytes === undefined ? undefined : identityIn(bytes, path)
}

function identityIn(bytes: Uint8Array, path: string): Identity {
  const identity = parseIdentity(bytes)
  if (identity !== undefined) return identity
  throw new MurmurError(
    'directory-invalid',
    `${path} is not an Ed25519 key (${bytes.length} bytes, damaged?); restore it from a backup, or start in an empty directory as a new peer.`,
  )
}

/** The key that 32 bytes are the seed of: an invite's, say. */
export function signerOfSeed(seed: Uint8Array): Signer {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const raw = Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url')
  const publicKey = new Uint8Array(Buffer.concat([PROTOBUF_PREFIX, raw]))
  return { peerId: peerIdOf(publicKey), publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) }
}

function parseIdentity(bytes: Uint8Array): Identity | undefined {
  try {
    const privateKey = privateKeyFromProtobuf(bytes)
    if (privateKey.type !== 'Ed25519') return undefined
    const signer = signerOfSeed(privateKey.raw.subarray(0, SEED_BYTES))
    // The file holds the public half too: a flipped bit in either must not give a peer whose signatures nobody accepts.
    return Buffer.compare(signer.publicKey, publicKeyToProtobuf(privateKey.publicKey)) === 0 ? { privateKey, signer } : undefined
  } catch {
    return undefined
  }
}
