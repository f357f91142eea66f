// A store that lives as long as its process: for the lab's many peers and for tests.
import type { Checkpoint, PartialObject, Store } from '../ports.ts'

/** Nothing is copied: callers do not change what they have handed over, as the port asks. */
export function memoryStore(): Store {
  const objects = new Map<string, Uint8Array>()
  const parts = new Map<string, PartialObject>()
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
      for (const kept of [objects, parts]) for (const root of kept.keys()) if (!keep.has(root)) kept.delete(root)
    },
    async openPart(root, length) {
      const left = parts.get(root)
      if (left?.payload.length === length) return left
      const part: PartialObject = {
        payload: new Uint8Array(length),
        chunks: new Set(),
        save() {},
        async finish() {
          parts.delete(root)
          objects.set(root, part.payload)
        },
        async leave() {},
      }
      parts.set(root, part)
      return part
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
