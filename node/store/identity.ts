// The peer's key: made once, kept in its directory for its owner's eyes only, and the source of its name.
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

/**
 * The key in `identity.key` (libp2p's protobuf encoding, mode 0600), made there if the directory has none. Two callers at once get the same key.
 * @throws directory-invalid where the file is damaged; a damaged key is never replaced, for with it goes the peer's name
 * @throws disk-failed
 */
export async function loadOrCreateIdentity(dir: string): Promise<Identity> {
  const path = join(resolve(dir), 'identity.key')
  let bytes = await readIfPresent(path)
  if (bytes === undefined) {
    const made = privateKeyToProtobuf(await generateKeyPair('Ed25519'))
    bytes = (await createDurable(path, made, { mode: 0o600 })) ? made : await readIfPresent(path)
  }
  const identity = bytes === undefined ? undefined : parseIdentity(bytes)
  if (identity === undefined) {
    throw new MurmurError(
      'directory-invalid',
      `${path} is not an Ed25519 key (${bytes?.length ?? 0} bytes, damaged?); restore it from a backup, or start in an empty directory as a new peer.`,
    )
  }
  return identity
}

function parseIdentity(bytes: Uint8Array): Identity | undefined {
  try {
    const privateKey = privateKeyFromProtobuf(bytes)
    if (privateKey.type !== 'Ed25519') return undefined
    const seed = privateKey.raw.subarray(0, SEED_BYTES)
    const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
    // The file holds the public half too: a flipped bit in either must not give a peer whose signatures nobody accepts.
    const derived = createPublicKey(key).export({ format: 'jwk' }).x
    if (derived !== Buffer.from(privateKey.publicKey.raw).toString('base64url')) return undefined
    const publicKey = publicKeyToProtobuf(privateKey.publicKey)
    const signer = { peerId: peerIdOf(publicKey), publicKey, sign: (message: Uint8Array) => new Uint8Array(sign(null, message, key)) }
    return { privateKey, signer }
  } catch {
    return undefined
  }
}
