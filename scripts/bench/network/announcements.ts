// Announcements of many authors handled as they come from gossip: decoded, verified and checked, on one thread.
import { generateKeyPairSync, sign } from 'node:crypto'
import { createVerifier } from '../../../node/store/verify.ts'
import { decodeGossip, encodeAnnouncement } from '../../../protocol/gossip.ts'
import { peerIdOf } from '../../../protocol/identity.ts'
import { openUpdate, sealUpdate } from '../../../protocol/update.ts'
import { type Check, median } from './check.ts'
import { TASK } from './hosts.ts'

const AUTHORS = 100
const ROUNDS = 20
const TURNS = 7
/** Of a public key as libp2p writes it, and of the key in X.509's form. */
const LIBP2P_PREFIX = [0x08, 0x01, 0x12, 0x20]
const SPKI_BYTES = 12

export function announcements(): Check[] {
  const rules = { task: TASK, codec: 'float32', length: 1000, verify: createVerifier() }
  const messages = Array.from({ length: AUTHORS }, () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI_BYTES)
    const key = Uint8Array.from([...LIBP2P_PREFIX, ...raw])
    const signer = { peerId: peerIdOf(key), publicKey: key, sign: (bytes: Uint8Array) => new Uint8Array(sign(null, bytes, privateKey)) }
    return Array.from({ length: ROUNDS }, (_, round) => {
      const payload = { hash: new Uint8Array(32).fill(round), length: 4000, codec: 'float32' }
      return encodeAnnouncement(sealUpdate({ round: round + 1, payload, final: false }, TASK, signer).envelope, new Uint8Array())
    })
  }).flat()
  const rates = Array.from({ length: TURNS }, () => {
    const began = performance.now()
    for (const message of messages) {
      const decoded = decodeGossip(message)
      if (typeof decoded === 'string' || decoded.type !== 'announcement') throw new Error(`not an announcement: ${String(decoded)}`)
      const update = openUpdate(decoded.record, rules)
      if (typeof update === 'string') throw new Error(`an announcement was refused: ${update}`)
    }
    return messages.length / ((performance.now() - began) / 1000)
  })
  const what = `announcements a second of ${AUTHORS} authors: decoded, verified, checked on one thread`
  return [{ name: 'records', what, value: median(rates), goal: { least: 8000 } }]
}
