// SHA-256 as `protocol/` asks for it, by Node's own.
import { hash } from 'node:crypto'
import type { Hash } from '../protocol/payload.ts'

export const sha256: Hash = (bytes) => hash('sha256', bytes, 'buffer')
