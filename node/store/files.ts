// Files that survive `kill -9` and power loss: written whole beside their place, synced, renamed, and the folder synced.
import { randomBytes } from 'node:crypto'
import { link, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'

/** This process's temporary files, told apart from what dead ones left even where process ids repeat, as in containers. */
const TOKEN = randomBytes(6).toString('hex')
const TEMPORARY = /\.([0-9a-f]{12})-\d+\.tmp$/
let written = 0

interface WriteOptions {
  /** Permission bits; default 0o666 less the umask. */
  mode?: number
}

/** Several parts are written one after the other, and must not change until the promise resolves. */
type Content = Uint8Array | readonly Uint8Array[]

/**
 * Replaces `path` in one step: after a crash it holds the old bytes or the new ones. On disk when the promise resolves.
 * @throws disk-failed
 */
export async function writeDurable(path: string, content: Content, options: WriteOptions = {}): Promise<void> {
  await guarded(path, 'written', async () => {
    const temporary = await writeTemporary(path, content, options)
    try {
      await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
    await syncFolder(dirname(path))
  })
}

/**
 * As `writeDurable`, but only where nothing is there yet; of several at once exactly one writes.
 * @returns whether this call did
 * @throws disk-failed
 */
export async function createDurable(path: string, content: Content, options: WriteOptions = {}): Promise<boolean> {
  return await guarded(path, 'written', async () => {
    const temporary = await writeTemporary(path, content, options)
    try {
      // Unlike a rename, a hard link never replaces; unlike O_EXCL, it never shows a half-written file.
      await link(temporary, path)
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      if (!NO_LINKS.includes(codeOf(error) ?? '')) throw error
      // A file system without hard links: not exclusive, but whole.
      await rename(temporary, path)
    } finally {
      await rm(temporary, { force: true })
    }
    await syncFolder(dirname(path))
    return true
  })
}

/** The file's bytes, or undefined where there is none. @throws disk-failed */
export async function readIfPresent(path: string): Promise<Uint8Array | undefined> {
  return await guarded(path, 'read', async () => {
    try {
      const bytes = await readFile(path)
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
  })
}

/** Removes what processes that died while writing left in a folder. Call only while the directory's lock is held. @throws disk-failed */
export async function sweepTemporary(folder: string): Promise<void> {
  await guarded(folder, 'read', async () => {
    for (const name of await readdir(folder)) {
      const token = TEMPORARY.exec(name)?.[1]
      if (token !== undefined && token !== TOKEN) await rm(join(folder, name), { force: true })
    }
  })
}

/** Runs a file operation; what the system says becomes one sentence. @throws disk-failed */
export async function guarded<T>(path: string, verb: 'read' | 'written' | 'removed', work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw diskError(path, verb, error)
  }
}

export function diskError(path: string, verb: 'read' | 'written' | 'removed', cause: unknown): MurmurError {
  if (cause instanceof MurmurError) return cause
  const code = codeOf(cause)
  const why = (code !== undefined && REASONS[code]) || `${code ?? String(cause)}; check the disk and the path`
  return new MurmurError('disk-failed', `${path} cannot be ${verb}: ${why}.`, { cause })
}

const REASONS: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space and start again',
  EDQUOT: 'the disk quota is used up; free some space and start again',
  EROFS: 'the file system is read-only; use a directory on one that can be written',
  EACCES: 'there is no permission; change its owner or mode, or use another directory',
  EPERM: 'there is no permission; change its owner or mode, or use another directory',
  ENOTDIR: 'a part of the path is a file, not a directory; use another path',
  ENOENT: 'its directory does not exist; make it first or use another path',
  EISDIR: 'it is a directory, not a file; move it away',
  EMFILE: 'this process has too many files open; raise the limit (`ulimit -n`)',
  ENFILE: 'the system has too many files open; raise its limit',
  EIO: 'the disk reports a hardware error; check it before going on',
}

const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | null)?.code

async function writeTemporary(path: string, content: Content, { mode = 0o666 }: WriteOptions): Promise<string> {
  const temporary = join(dirname(path), `${basename(path)}.${TOKEN}-${written++}.tmp`)
  try {
    await using file = await open(temporary, 'wx', mode)
    // `writeFile` goes on from the current position, and hands the event loop back between its 512 KiB pieces.
    for (const part of content instanceof Uint8Array ? [content] : content) await file.writeFile(part)
    await file.sync()
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw error
  }
  return temporary
}

/** Makes a rename itself durable. Some file systems cannot sync a folder and say so with EINVAL: there nothing more can be done. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  try {
    await handle.sync()
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'].includes(codeOf(error) ?? '')) throw error
  }
}
