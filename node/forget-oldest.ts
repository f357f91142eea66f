// Maps and sets that must not grow with what strangers send.

/** Drops those inserted first until at most `most` are left; whoever inserts anew at each use so keeps the ones used last. */
export function forgetOldest<K>(entries: Map<K, unknown> | Set<K>, most: number): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= most) break
    entries.delete(oldest)
  }
}
