// Deterministic Ed25519 keys and node:crypto signing, for tests of signed things.
import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { Signer } from '../../node/ports.ts'
import type { Verify } from '../../protocol/envelope.ts'
import { peerIdOf } from '../../protocol/identity.ts'

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const KEY_PREFIX = Buffer.from('08011220', 'hex')

export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

/** The key whose seed is the hash of a name: the same in every run. */
export function signerOf(name: string): Signer {
  const seed = createHash('sha256').update(name).digest()
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
  const raw = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI.length)
  const publicKey = new Uint8Array(Buffer.concat([KEY_PREFIX, raw]))
  return { peerId: peerIdOf(publicKey), publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) }
}

export const verifier: Verify = (publicKey, message, signature) => {
  try {
    const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey.subarray(KEY_PREFIX.length)]), format: 'der', type: 'spki' })
    return verify(null, message, key, signature)
  } catch {
    return false
  }
}
