// Encoded payloads on disk, each in a file named by its root hash.
import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MurmurError } from '../../protocol/errors.ts'
import { chunkCount, chunkOf } from '../../protocol/payload.ts'
import type { Store } from '../ports.ts'
import { sha256 } from '../sha256.ts'
import { guarded, readIfPresent, sweepTemporary, writeDurable } from './files.ts'
import { openPartFile } from './parts.ts'

export type Objects = Pick<Store, 'putObject' | 'getObject' | 'fileOf' | 'pruneObjects' | 'openPart'>

const NAME = /^[0-9a-f]{64}$/
const PART = /^([0-9a-f]{64})\.part$/
/** Chunks hashed before others get the event loop: 1 MiB, about half a millisecond. */
const CHUNKS_A_TURN = 4

/** @throws disk-failed */
export async function openObjects(dir: string): Promise<Objects> {
  const folder = join(dir, 'objects')
  await guarded(folder, 'written', () => mkdir(folder, { recursive: true }))
  await sweepTemporary(folder)
  /** Written or verified by this process. */
  const good = new Set<string>()
  /** Being pulled now: not to be removed. */
  const open = new Set<string>()

  function pathOf(root: string): string {
    if (NAME.test(root)) return join(folder, root)
    throw new MurmurError('bad-argument', `"${root.slice(0, 80)}" is not the hash of a payload: 64 lowercase hex digits are.`)
  }

  async function getObject(root: string): Promise<Uint8Array | undefined> {
    const path = pathOf(root)
    const bytes = await readIfPresent(path)
    if (bytes === undefined) good.delete(root)
    if (bytes === undefined || good.has(root)) return bytes
    // Left by another process: a disk may have damaged it since. Without it, the payload is simply pulled again.
    if ((await rootOf(bytes)) !== root) {
      await guarded(path, 'removed', () => rm(path, { force: true }))
      return undefined
    }
    good.add(root)
    return bytes
  }

  return {
    async putObject(root, bytes) {
      const path = pathOf(root)
      if (good.has(root)) return
      await writeDurable(path, bytes)
      good.add(root)
    },
    getObject,
    async fileOf(root) {
      const path = pathOf(root)
      // One that another process left is verified by being read.
      const isThere = good.has(root) ? await isFile(path) : (await getObject(root)) !== undefined
      return isThere ? path : undefined
    },
    async pruneObjects(keep) {
      const names = await guarded(folder, 'read', () => readdir(folder))
      for (const name of names.filter((name) => NAME.test(name) && !keep.has(name))) {
        good.delete(name)
        await guarded(join(folder, name), 'removed', () => rm(join(folder, name), { force: true }))
      }
      for (const name of names) {
        const root = PART.exec(name)?.[1]
        if (root === undefined || keep.has(root) || open.has(root)) continue
        await guarded(join(folder, name), 'removed', () => rm(join(folder, name), { force: true }))
      }
    },
    async openPart(root, length, memory = new Uint8Array(length)) {
      const path = pathOf(root)
      open.add(root)
      const close = () => open.delete(root)
      try {
        const part = await openPartFile(`${path}.part`, path, root, memory)
        const { finish, leave } = part
        return Object.assign(part, {
          async finish() {
            await finish().finally(close)
            good.add(root)
          },
          leave: () => leave().finally(close),
        })
      } catch (error) {
        close()
        throw error
      }
    },
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}

/** As protocol/payload.ts's `payloadRoot`, in hex, letting others run in between. */
async function rootOf(payload: Uint8Array): Promise<string> {
  const list = createHash('sha256')
  for (let i = 0; i < chunkCount(payload.length); i++) {
    list.update(sha256(chunkOf(payload, i)))
    if (i % CHUNKS_A_TURN === CHUNKS_A_TURN - 1) await nextTurn()
  }
  return list.digest('hex')
}
