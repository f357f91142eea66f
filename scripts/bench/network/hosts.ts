// Peers with nothing but a network and a payload exchange, and payloads for them.
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createLibp2pNetwork } from '../../../node/host/libp2p-network.ts'
import type { Network, Store } from '../../../node/ports.ts'
import { sha256 } from '../../../node/sha256.ts'
import { memoryStore } from '../../../node/store/memory-store.ts'
import { type PayloadRef, payloadRoot } from '../../../protocol/payload.ts'

export const TASK = new Uint8Array(32)

export async function startHost(): Promise<Network> {
  const network = createLibp2pNetwork({ privateKey: await generateKeyPair('Ed25519'), listen: ['/ip4/127.0.0.1/tcp/0'], discovery: false })
  await network.start()
  return network
}

export function payloadOf(length: number, seed: number): { payload: Uint8Array; ref: PayloadRef; root: string } {
  const payload = new Uint8Array(length)
  for (let i = 0; i < length; i++) payload[i] = (i * 31 + (i >> 8) + seed) & 255
  const hash = payloadRoot(payload, sha256)
  return { payload, ref: { hash, length, codec: 'float32' }, root: Buffer.from(hash).toString('hex') }
}

/** A store that keeps nothing of what is pulled: neither a disk nor this process's growth is what is measured. */
export function storeOf(...payloads: { root: string; payload: Uint8Array }[]): Store {
  const held = new Map(payloads.map(({ root, payload }) => [root, payload]))
  return {
    ...memoryStore(),
    getObject: async (root) => held.get(root),
    async openPart(_, length, payload = new Uint8Array(length)) {
      return { payload, chunks: new Set(), save() {}, async finish() {}, async leave() {} }
    },
  }
}
