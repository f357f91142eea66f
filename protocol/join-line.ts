// The line a person pastes to join: which task, where its members can be met and, where admission is by invitation, what makes its
// holder a member: an invite with its secret, or a membership. Versioned, with a checksum against copying mistakes.
import { equals } from 'uint8arrays/equals'
import { fromString } from 'uint8arrays/from-string'
import { toString as toText } from 'uint8arrays/to-string'
import { z } from 'zod'
import { MurmurError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { Hash } from './payload.ts'

const PREFIX = 'murmur1-'
const CHECK_BYTES = 4
/** Addresses in a line: enough for a founder that is away, few enough to paste. */
export const JOIN_LINE_ADDRESSES = 4
const MAX_LENGTH = 4096

/** Bytes of an Ed25519 key's seed. */
const SEED_BYTES = 32

/** Bytes as base64url text without padding. */
const bytes = (most: number) =>
  z.string().transform((text, context) => {
    const read = readBase64url(text)
    if (read !== undefined && read.length > 0 && read.length <= most) return read
    context.addIssue({ code: 'custom', message: 'must be base64url' })
    return z.NEVER
  })

const schema = z
  .strictObject({
    task: z.string().regex(/^[0-9a-f]{64}$/),
    addresses: z.array(z.string().max(512)).min(1).max(JOIN_LINE_ADDRESSES),
    /** A signed invite, and the seed of its key: whoever has the line can become a member. */
    invite: bytes(LIMITS.recordBytes).optional(),
    key: bytes(SEED_BYTES)
      .refine((seed) => seed.length === SEED_BYTES)
      .optional(),
    /** A signed membership: of use only to the peer that it names. */
    membership: bytes(LIMITS.recordBytes).optional(),
  })
  .refine(({ invite, key }) => (invite === undefined) === (key === undefined))

export type JoinLine = z.output<typeof schema>

/** `murmur1-` and base64url of a checksum and the JSON. */
export function encodeJoinLine(line: JoinLine, hash: Hash): string {
  const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : toText(value, 'base64url'))
  const { task, addresses, invite, key, membership } = line
  const fields = { task, addresses, invite: text(invite), key: text(key), membership: text(membership) }
  const body = new TextEncoder().encode(JSON.stringify(fields))
  const bytes = new Uint8Array(CHECK_BYTES + body.length)
  bytes.set(hash(body).subarray(0, CHECK_BYTES))
  bytes.set(body, CHECK_BYTES)
  return PREFIX + toText(bytes, 'base64url')
}

export const isJoinLine = (text: string): boolean => text.trim().startsWith('murmur')

/** @throws bad-join-line */
export function decodeJoinLine(text: string, hash: Hash): JoinLine {
  const bad = (why: string) => new MurmurError('bad-join-line', `The join line ${why}; copy the whole line that \`murmur start\` printed.`)
  const line = text.trim()
  if (line.length > MAX_LENGTH) throw bad(`has ${line.length} characters, more than ${MAX_LENGTH}`)
  if (!line.startsWith(PREFIX)) throw bad(`begins with "${line.slice(0, PREFIX.length)}", not "${PREFIX}"`)
  const all = readBase64url(line.slice(PREFIX.length))
  if (all === undefined) throw bad('holds characters that do not belong there')
  const body = all.subarray(CHECK_BYTES)
  if (!equals(hash(body).subarray(0, CHECK_BYTES), all.subarray(0, CHECK_BYTES))) throw bad('is cut off or was changed')
  try {
    return schema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)))
  } catch {
    throw bad('is of a form that this version does not know')
  }
}

function readBase64url(text: string): Uint8Array | undefined {
  try {
    return fromString(text, 'base64url')
  } catch {
    return undefined
  }
}
