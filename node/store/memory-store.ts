// A store that lives as long as its process: for the lab's many peers and for tests.
import type { Checkpoint, Store } from '../ports.ts'

/** Nothing is copied: callers do not change what they have handed over, as the port asks. */
export function memoryStore(): Store {
  const objects = new Map<string, Uint8Array>()
  const records = new Map<string, Uint8Array>()
  const documents = new Map<string, Uint8Array>()
  let announcement: Uint8Array | undefined
  let checkpoint: Checkpoint | undefined
  return {
    async putObject(root, bytes) {
      objects.set(root, bytes)
    },
    async getObject(root) {
      return objects.get(root)
    },
    async pruneObjects(keep) {
      for (const root of objects.keys()) if (!keep.has(root)) objects.delete(root)
    },
    async saveAnnouncement(envelope) {
      announcement = envelope
    },
    async loadAnnouncement() {
      return announcement
    },
    async saveCheckpoint(next) {
      checkpoint = next
    },
    async loadCheckpoint() {
      return checkpoint
    },
    saveRecord(key, envelope) {
      records.set(key, envelope)
    },
    loadRecords() {
      return [...records.values()]
    },
    async saveDocument(name, bytes) {
      documents.set(name, bytes)
    },
    async loadDocument(name) {
      return documents.get(name)
    },
    append() {},
    async close() {},
  }
}
