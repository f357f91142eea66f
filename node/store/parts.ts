// Payloads that are not whole yet, so that a pull goes on after a restart: the chunks at their places, then the hash list, in one file.
// It says nothing of which chunks are there: they are told by their hashes when it is read, whatever a crash or a disk did to it.
import { createHash } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { LIMITS } from '../../protocol/limits.ts'
import { chunkCount, chunkOf, HASH_BYTES } from '../../protocol/payload.ts'
import type { PartialObject } from '../ports.ts'
import { sha256 } from '../sha256.ts'
import { guarded, readIfPresent, syncFolder } from './files.ts'

/** Chunks hashed before others get the event loop: 1 MiB, about half a millisecond. */
const CHUNKS_A_TURN = 4

/** @param path of the part; @param whole of the object that it becomes; @param payload what it is put together in. @throws disk-failed */
export async function openPartFile(path: string, whole: string, root: string, payload: Uint8Array): Promise<PartialObject> {
  const { length } = payload
  const left = await readPart(path, root, length)
  if (left !== undefined) payload.set(left.payload)
  const file = await guarded(path, 'written', () => open(path, left === undefined ? 'w+' : 'r+'))
  /** The first write that failed, such as for a full disk: then the part is of no use, and `finish` says why. */
  let failed: { error: unknown } | undefined
  let isListed = left !== undefined
  let writing: Promise<unknown> = Promise.resolve()

  function write(bytes: Uint8Array, at: number): void {
    writing = writing
      .then(() => (failed === undefined ? writeAll(file, bytes, at) : undefined))
      .catch((error: unknown) => (failed ??= { error }))
  }

  const part: PartialObject = {
    payload,
    chunks: new Set(left?.chunks),
    ...(left && { list: left.list }),
    save(index) {
      if (!isListed && part.list !== undefined) write(part.list, length)
      isListed = true
      write(chunkOf(payload, index), index * LIMITS.chunkBytes)
    },
    async finish() {
      await writing
      try {
        await guarded(whole, 'written', async () => {
          if (failed !== undefined) throw failed.error
          await file.truncate(length)
          await file.sync()
          await rename(path, whole)
          await syncFolder(dirname(whole))
        })
      } finally {
        await file.close()
      }
    },
    async leave() {
      await writing
      await file.close()
      if (failed !== undefined || part.chunks.size === 0) await guarded(path, 'removed', () => rm(path, { force: true }))
    },
  }
  return part
}

async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
}

/** What of a part has the hashes of this payload; undefined where nothing has. */
async function readPart(
  path: string,
  root: string,
  length: number,
): Promise<{ payload: Uint8Array; list: Uint8Array; chunks: number[] } | undefined> {
  const bytes = await readIfPresent(path)
  if (bytes === undefined) return undefined
  const payload = bytes.subarray(0, length)
  const listed = chunkCount(length) * HASH_BYTES
  if (bytes.length !== length && bytes.length !== length + listed) return undefined
  const hashes = new Uint8Array(listed)
  for (let i = 0; i < chunkCount(length); i++) {
    hashes.set(sha256(chunkOf(payload, i)), i * HASH_BYTES)
    if (i % CHUNKS_A_TURN === CHUNKS_A_TURN - 1) await nextTurn()
  }
  // Without a list it was whole, but for its name.
  const list = bytes.length === length ? hashes : bytes.subarray(length)
  if (createHash('sha256').update(list).digest('hex') !== root) return undefined
  const isThere = (i: number) => Buffer.compare(hashAt(hashes, i), hashAt(list, i)) === 0
  return { payload, list, chunks: [...Array(chunkCount(length)).keys()].filter(isThere) }
}

const hashAt = (list: Uint8Array, index: number): Uint8Array => list.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
