// SHA-256 as `protocol/` asks for it, by Node's own.
import { createHash } from 'node:crypto'
import type { Hash } from '../protocol/payload.ts'

export const sha256: Hash = (bytes) => createHash('sha256').update(bytes).digest()
