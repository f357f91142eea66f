// Ed25519 verification by node:crypto, several times faster than a portable library. Parsing a key costs about as much as a check, so keys are kept.
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { promisify } from 'node:util'
import type { Proof, Verify } from '../../protocol/envelope.ts'
import { isEd25519PublicKey } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { forgetOldest } from '../forget-oldest.ts'
import { createVerifyPool } from './verify-pool.ts'

/** SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) up to the 32 bytes of the key itself. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
/** Bytes before the key in libp2p's protobuf encoding. */
const PROTOBUF_PREFIX = 4

export interface Verifiers {
  /** False for anything that is not a libp2p-encoded Ed25519 key or does not fit. */
  verify: Verify
  /** The same in Node's pool of threads, in order; never rejects. */
  verifyElsewhere(...proof: Proof): Promise<boolean>
}

/** Keeps the `cacheSize` keys last used. */
export function createVerifiers(cacheSize: number = LIMITS.members): Verifiers {
  const keys = new Map<string, KeyObject>()

  function keyOf(publicKey: Uint8Array): KeyObject {
    const name = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('latin1')
    const key = keys.get(name) ?? parseKey(publicKey)
    // Inserted anew at each use: the oldest is the one not used for longest.
    keys.delete(name)
    keys.set(name, key)
    forgetOldest(keys, cacheSize)
    return key
  }

  function verifyHere(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    if (!isEd25519PublicKey(publicKey)) return false
    try {
      return verify(null, message, keyOf(publicKey), signature)
    } catch {
      return false
    }
  }

  async function verifyInPool(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
    if (!isEd25519PublicKey(publicKey)) return false
    try {
      return await inPool(null, message, keyOf(publicKey), signature)
    } catch {
      return false
    }
  }

  return { verify: verifyHere, verifyElsewhere: createVerifyPool(verifyHere, verifyInPool) }
}

/** A libp2p-encoded Ed25519 key for node:crypto. */
export const parseKey = (publicKey: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey.subarray(PROTOBUF_PREFIX)]), format: 'der', type: 'spki' })

const inPool = promisify(verify)

export const createVerifier = (cacheSize?: number): Verify => createVerifiers(cacheSize).verify
