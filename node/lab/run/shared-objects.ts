// What virtual peers hold in common though each would have its own: payloads of one hash are the same bytes, and a signature that one has
// checked need not be checked by all. The protocol is none the wiser: each still pulls, hashes and asks.
import type { Verify } from '../../../protocol/envelope.ts'
import { hexOf } from '../../../protocol/task.ts'
import { forgetOldest } from '../../forget-oldest.ts'
import type { PayloadExchange, Store } from '../../ports.ts'
import { memoryStore } from '../../store/memory-store.ts'

/** Payloads of each peer that are known at a time: of the last few rounds. */
const EACH = 4
/** Verdicts of each peer. */
const VERDICTS_EACH = 16

export interface SharedObjects {
  /** The one instance of these bytes, in memory that workers see. */
  keep(root: string, bytes: Uint8Array): Uint8Array
}

export function createSharedObjects(peers: number): SharedObjects {
  const known = new Map<string, Uint8Array>()
  return {
    keep(root, bytes) {
      const held = known.get(root)
      if (held !== undefined) return held
      const copy = new Uint8Array(new SharedArrayBuffer(bytes.length))
      copy.set(bytes)
      known.set(root, copy)
      forgetOldest(known, EACH * peers)
      return copy
    },
  }
}

export function sharingStore(objects: SharedObjects): Store {
  const own = memoryStore()
  const putObject = (root: string, bytes: Uint8Array) => own.putObject(root, objects.keep(root, bytes))
  return {
    ...own,
    putObject,
    async openPart(root, length, memory) {
      const part = await own.openPart(root, length, memory)
      return {
        ...part,
        async finish() {
          await part.finish()
          await putObject(root, part.payload)
        },
      }
    },
  }
}

/** Hands out the store's instance of a payload, whichever copy was pulled. */
export function sharingExchange(exchange: PayloadExchange, store: Store): PayloadExchange {
  return {
    ...exchange,
    lend: (ref, sources, use, options) =>
      exchange.lend(ref, sources, async (pulled) => use((await store.getObject(hexOf(ref.hash))) ?? pulled), options),
  }
}

/** The same verdict for the same bytes. */
export function sharedVerify(verify: Verify, peers: number): Verify {
  const known = new Map<string, { publicKey: Uint8Array; message: Uint8Array; isSigned: boolean }>()
  return (publicKey, message, signature) => {
    const key = Buffer.from(signature.buffer, signature.byteOffset, signature.length).toString('latin1')
    const before = known.get(key)
    if (before !== undefined && Buffer.compare(before.message, message) === 0 && Buffer.compare(before.publicKey, publicKey) === 0) {
      return before.isSigned
    }
    const isSigned = verify(publicKey, message, signature)
    // Copies: these are views of messages.
    known.set(key, { publicKey: publicKey.slice(), message: message.slice(), isSigned })
    forgetOldest(known, VERDICTS_EACH * peers)
    return isSigned
  }
}
