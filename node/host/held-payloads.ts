// Payloads being served: kept in memory for a moment, so that twenty peers asking for twenty chunks do not read the object four hundred times.
import { chunkCount, chunkOf, HASH_BYTES, type Hash } from '../../protocol/payload.ts'
import type { Clock, Store } from '../ports.ts'

/** Bytes kept at most; the newest payload is kept however large it is. */
const CACHE_BYTES = 64 * 1024 * 1024
/** Milliseconds after its last use at which a payload is let go. */
const KEEP_MILLIS = 10_000
/** Chunks hashed before others get their turn: 1 MiB, about 1.5 ms. */
const CHUNKS_A_TURN = 4

export interface Held {
  /** A chunk of a payload, by hex root; undefined where the store does not have it. @throws bad-argument */
  chunk(root: string, index: number): Promise<LentBytes | undefined>
  hashList(root: string): Promise<LentBytes | undefined>
  /**
   * Keeps a payload, which the caller reads until it calls what is returned; `onDrop` is called once it is neither kept nor read.
   * @param list its hash list, where that is known
   */
  put(root: string, payload: Uint8Array, onDrop: () => void, list?: Uint8Array): () => void
}

interface LentBytes {
  bytes: Uint8Array
  done(): void
}

interface Entry {
  payload: Promise<Uint8Array | undefined>
  bytes: number
  /** Who reads it now. */
  readers: number
  list?: Promise<Uint8Array>
  /** Ends the timer. */
  cancel(): void
  onDrop(): void
}

export function createHeld(store: Pick<Store, 'getObject'>, hash: Hash, clock: Clock): Held {
  /** Least recently used first. */
  const entries = new Map<string, Entry>()
  /** Not kept any more, but somebody still reads them. */
  const lingering = new Set<Entry>()

  /** One after the other: many large ones asked for at once would all be in memory before the first of them is let go. */
  let reading: Promise<unknown> = Promise.resolve()
  function load(root: string): Promise<Uint8Array | undefined> {
    const payload = reading.then(() => store.getObject(root))
    reading = payload.catch(() => {})
    return payload
  }

  function touch(root: string, entry: Entry): void {
    entry.cancel()
    entries.delete(root)
    entries.set(root, entry)
    entry.cancel = clock.after(KEEP_MILLIS, () => drop(root, entry))
    let total = [...entries.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    for (const [other, old] of entries) {
      if (total <= CACHE_BYTES || old === entry) break
      // What is still being read from the disk.
      if (old.bytes === 0) continue
      total -= old.bytes
      drop(other, old)
    }
  }

  function drop(root: string, entry: Entry): void {
    entry.cancel()
    if (entries.get(root) !== entry) return
    entries.delete(root)
    if (entry.readers > 0) lingering.add(entry)
    else entry.onDrop()
  }

  /** Until the returned function is called, the payload's memory stays what it is. */
  function read(entry: Entry): () => void {
    entry.readers++
    return () => {
      if (--entry.readers === 0 && lingering.delete(entry)) entry.onDrop()
    }
  }

  async function listOf(payload: Uint8Array): Promise<Uint8Array> {
    const list = new Uint8Array(chunkCount(payload.length) * HASH_BYTES)
    for (let i = 0; i * HASH_BYTES < list.length; i++) {
      list.set(hash(chunkOf(payload, i)), i * HASH_BYTES)
      if (i % CHUNKS_A_TURN === CHUNKS_A_TURN - 1) await new Promise<void>((resolve) => clock.after(0, resolve))
    }
    return list
  }

  /** What `part` makes of the payload, in the same turn in which it is known to be held. */
  async function use<T>(root: string, part: (payload: Uint8Array, entry: Entry) => T | Promise<T>): Promise<T | undefined> {
    const entry: Entry = entries.get(root) ?? { payload: load(root), bytes: 0, readers: 0, cancel() {}, onDrop() {} }
    if (!entries.has(root)) entries.set(root, entry)
    const done = read(entry)
    try {
      const payload = await entry.payload.catch((error: unknown) => {
        drop(root, entry)
        throw error
      })
      if (payload === undefined) {
        drop(root, entry)
        return undefined
      }
      entry.bytes = payload.length
      if (entries.get(root) === entry) touch(root, entry)
      return await part(payload, entry)
    } finally {
      done()
    }
  }

  return {
    chunk: (root, index) =>
      use(root, (payload, entry) => {
        const bytes = chunkOf(payload, index)
        // Replies that nobody reads must not hold on to any number of whole payloads.
        const total = [...lingering].reduce((sum, { bytes }) => sum + bytes, 0)
        return total > CACHE_BYTES ? { bytes: bytes.slice(), done() {} } : { bytes, done: read(entry) }
      }),
    hashList: (root) =>
      use(root, async (payload, entry) => {
        entry.list ??= listOf(payload)
        return { bytes: await entry.list, done() {} }
      }),
    put(root, payload, onDrop, list) {
      const old = entries.get(root)
      if (old !== undefined) drop(root, old)
      const entry: Entry = { payload: Promise.resolve(payload), bytes: payload.length, readers: 0, onDrop, cancel() {} }
      // A copy: it may be a view of much more.
      if (list !== undefined) entry.list = Promise.resolve(list.slice())
      touch(root, entry)
      return read(entry)
    },
  }
}
