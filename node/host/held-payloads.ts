// Payloads being served: kept in memory for a moment, so that twenty peers asking for twenty chunks do not read the object four hundred times.
import { chunkCount, chunkOf, HASH_BYTES, type Hash } from '../../protocol/payload.ts'
import type { Clock, Store } from '../ports.ts'

/** Bytes kept at most; the newest payload is kept however large it is. */
const CACHE_BYTES = 128 * 1024 * 1024
/** Milliseconds after its last use at which a payload is let go. */
const KEEP_MILLIS = 10_000
/** Chunks hashed before others get their turn: 1 MiB, about 1.5 ms. */
const CHUNKS_A_TURN = 4

export interface HeldPayload {
  chunk(index: number): Uint8Array
  hashList(): Promise<Uint8Array>
}

export interface Held {
  /** By hex root; undefined where the store does not have it. */
  get(root: string): Promise<HeldPayload | undefined>
  put(root: string, payload: Uint8Array): void
}

interface Entry {
  payload: Promise<Uint8Array | undefined>
  bytes: number
  list?: Promise<Uint8Array>
  release(): void
}

export function createHeld(store: Pick<Store, 'getObject'>, hash: Hash, clock: Clock): Held {
  /** Least recently used first. */
  const entries = new Map<string, Entry>()

  /** One after the other: many large ones asked for at once would all be in memory before the first of them is let go. */
  let reading: Promise<unknown> = Promise.resolve()
  function read(root: string): Promise<Uint8Array | undefined> {
    const payload = reading.then(() => store.getObject(root))
    reading = payload.catch(() => {})
    return payload
  }

  function touch(root: string, entry: Entry): void {
    entry.release()
    entries.delete(root)
    entries.set(root, entry)
    entry.release = clock.after(KEEP_MILLIS, () => drop(root, entry))
    let total = [...entries.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    for (const [other, old] of entries) {
      if (total <= CACHE_BYTES || old === entry) break
      total -= old.bytes
      drop(other, old)
    }
  }

  function drop(root: string, entry: Entry): void {
    entry.release()
    if (entries.get(root) === entry) entries.delete(root)
  }

  async function listOf(payload: Uint8Array): Promise<Uint8Array> {
    const list = new Uint8Array(chunkCount(payload.length) * HASH_BYTES)
    for (let i = 0; i * HASH_BYTES < list.length; i++) {
      list.set(hash(chunkOf(payload, i)), i * HASH_BYTES)
      if (i % CHUNKS_A_TURN === CHUNKS_A_TURN - 1) await new Promise<void>((resolve) => clock.after(0, resolve))
    }
    return list
  }

  function entryOf(payload: Promise<Uint8Array | undefined>, bytes: number): Entry {
    return { payload, bytes, release: () => {} }
  }

  return {
    async get(root) {
      const entry = entries.get(root) ?? entryOf(read(root), 0)
      if (!entries.has(root)) entries.set(root, entry)
      let payload: Uint8Array | undefined
      try {
        payload = await entry.payload
      } finally {
        if (payload === undefined) drop(root, entry)
      }
      if (payload === undefined) return undefined
      const bytes = payload
      entry.bytes = bytes.length
      touch(root, entry)
      return {
        // A copy: a reply that nobody reads must not hold on to the whole payload.
        chunk: (index) => chunkOf(bytes, index).slice(),
        hashList() {
          entry.list ??= listOf(bytes)
          return entry.list
        },
      }
    },
    put(root, payload) {
      touch(root, entryOf(Promise.resolve(payload), payload.length))
    },
  }
}
