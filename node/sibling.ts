// Where the module of another thread or process lies.
import { extname } from 'node:path'

/** @param path relative to `from`, the caller's `import.meta.url`, with its extension: .ts in a clone, .js in the published package */
export const sibling = (path: string, from: string): URL => new URL(`${path}${extname(from)}`, from)
