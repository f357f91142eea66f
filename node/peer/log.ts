// The peer's log: its events as JSON lines in its directory, for whoever looks into what happened. Bounded, and never in the way.
import { renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import type { PeerEvent } from '../events.ts'

/** Bytes after which, at a start, the log begins anew; the old one is kept beside it. */
const ROTATE_BYTES = 10 * 1024 * 1024
/** Told every other second or for every payload: the audit trail has what matters of them. */
const QUIET: ReadonlySet<PeerEvent['type']> = new Set(['phase', 'traffic', 'health', 'received', 'rejected'])

/** Appends to `murmur.log`; a disk that fails costs the log, not the peer. */
export function openLog(dir: string): (event: PeerEvent) => void {
  const file = join(dir, 'murmur.log')
  try {
    if (statSync(file).size > ROTATE_BYTES) renameSync(file, `${file}.old`)
  } catch {
    // There is none yet.
  }
  const destination = pino.destination({ dest: file, sync: true })
  destination.on('error', () => {})
  const log = pino({ base: { pid: process.pid } }, destination)
  return (event) => {
    if (QUIET.has(event.type)) return
    if (event.type === 'warning') log.warn(event)
    else log.info(event)
  }
}
