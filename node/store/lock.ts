// One process a directory. The lock is the kernel's own (a POSIX record lock, taken through SQLite): two that start at once cannot
// both get it, `kill -9` frees it, and no process id is compared, so an id used again, as 1 is in every container, locks nobody out.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MurmurError } from '../../protocol/errors.ts'

/** The locked file is never removed: another process might just be locking the removed one. Nothing else in this process may open
 * and close it, for that would drop the lock (fcntl(2)). */
const LOCK_FILE = 'lock'
/** Who holds it: told to whoever comes second, never relied on. */
const HOLDER_FILE = 'lock.pid'
const SQLITE_BUSY = 5

/** Open connections are the locks; held here so that the garbage collector cannot release one. */
const held = new Set<DatabaseSync>()

/**
 * Makes this process the only one in `dir`, which exists, until it ends or the returned function is called.
 * @param what it does there, for whoever comes second
 * @throws directory-locked with the other's process id, disk-failed
 */
export async function lockDirectory(dir: string, what = 'runs a peer'): Promise<() => Promise<void>> {
  const folder = resolve(dir)
  const holder = join(folder, HOLDER_FILE)
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(join(folder, LOCK_FILE), { timeout: 0 })
    database.exec('BEGIN IMMEDIATE')
    writeFileSync(holder, `${process.pid} ${hostname()}\n`)
  } catch (cause) {
    database?.close()
    if ((cause as { errcode?: number }).errcode === SQLITE_BUSY) {
      throw new MurmurError(
        'directory-locked',
        `Another process (${whoHolds(holder)}) ${what} in ${folder}; stop it, or use another directory.`,
      )
    }
    const why = (cause as Error).message
    throw new MurmurError('disk-failed', `${folder} cannot be locked (${why}); use a directory that can be written.`, { cause })
  }
  const mine = database
  held.add(mine)
  return async () => {
    if (!held.delete(mine)) return
    rmSync(holder, { force: true })
    mine.close()
  }
}

function whoHolds(file: string): string {
  try {
    const [pid = '', host = ''] = readFileSync(file, 'utf8').trim().split(' ')
    if (!/^\d+$/.test(pid)) return 'id unknown'
    return host === hostname() ? `id ${pid}` : `id ${pid} on ${host}`
  } catch {
    return 'id unknown'
  }
}
