// What must never be forgotten: each document a file for its owner's eyes only.
import { join, resolve } from 'node:path'
import type { Store } from '../ports.ts'
import { readIfPresent, writeDurable } from './files.ts'

/** Of a directory that exists and whose lock the caller holds. */
export function openDocuments(dir: string): Pick<Store, 'saveDocument' | 'loadDocument'> {
  const folder = resolve(dir)
  let saving: Promise<unknown> = Promise.resolve()
  return {
    saveDocument(name, bytes) {
      // One after the other, so that the last one asked for is the one that stays.
      const written = saving.then(() => writeDurable(join(folder, name), bytes, { mode: 0o600 }))
      saving = written.catch(() => {})
      return written
    },
    loadDocument: (name) => readIfPresent(join(folder, name)),
  }
}
