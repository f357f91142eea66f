// The store of a real peer: everything that survives `kill -9`, in the peer's directory.
import { join, resolve } from 'node:path'
import type { Layout } from '../../protocol/layout.ts'
import type { Store } from '../ports.ts'
import { openAudit } from './audit.ts'
import { openCheckpoints } from './checkpoints.ts'
import { openDocuments } from './documents.ts'
import { readIfPresent, sweepTemporary, writeDurable } from './files.ts'
import { openObjects } from './objects.ts'

export interface StoreOptions {
  /** The task's layout; a checkpoint's tensors are laid out by it. */
  layout: Layout
  /** Floats of optimizer state, where known. */
  optimizerSize?: number
  /** One sentence about something that is not in order, though the peer can go on. */
  onWarning: (message: string) => void
}

/** Opens `dir`, which exists and whose lock the caller holds. @throws disk-failed */
export async function openStore(dir: string, options: StoreOptions): Promise<Store> {
  const folder = resolve(dir)
  const announcement = join(folder, 'announcement')
  await sweepTemporary(folder)
  const objects = await openObjects(folder)
  const checkpoints = openCheckpoints(folder, options)
  const audit = openAudit(folder, options.onWarning)

  // One write of a kind after the other, so that the last one asked for is the one that stays.
  let saving: Promise<unknown> = Promise.resolve()
  function inTurn(write: () => Promise<void>): Promise<void> {
    const written = saving.then(write, write)
    saving = written.catch(() => {})
    return written
  }

  return {
    ...objects,
    saveAnnouncement: (envelope) => inTurn(() => writeDurable(announcement, envelope)),
    loadAnnouncement: () => readIfPresent(announcement),
    saveCheckpoint: (checkpoint) => inTurn(() => checkpoints.save(checkpoint)),
    loadCheckpoint: () => checkpoints.load(),
    ...openDocuments(folder),
    saveRecord: audit.saveRecord,
    loadRecords: audit.loadRecords,
    append: audit.append,
    async close() {
      await saving
      audit.close()
    },
  }
}
