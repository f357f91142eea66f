// The line a person pastes to join: which task, and where its peers can be met. Versioned, with a checksum against copying mistakes.
import { fromString } from 'uint8arrays/from-string'
import { toString as toText } from 'uint8arrays/to-string'
import { z } from 'zod'
import { MurmurError } from './errors.ts'
import type { Hash } from './payload.ts'

const PREFIX = 'murmur1-'
const CHECK_BYTES = 4
/** Addresses in a line: enough for a founder that is away, few enough to paste. */
export const JOIN_LINE_ADDRESSES = 4
const MAX_LENGTH = 4096

const schema = z.strictObject({
  task: z.string().regex(/^[0-9a-f]{64}$/),
  addresses: z.array(z.string().max(512)).min(1).max(JOIN_LINE_ADDRESSES),
})

export type JoinLine = z.output<typeof schema>

/** `murmur1-` and base64url of a checksum and the JSON. */
export function encodeJoinLine(line: JoinLine, hash: Hash): string {
  const body = new TextEncoder().encode(JSON.stringify(line))
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
  let bytes: Uint8Array
  try {
    bytes = fromString(line.slice(PREFIX.length), 'base64url')
  } catch {
    throw bad('holds characters that do not belong there')
  }
  const body = bytes.subarray(CHECK_BYTES)
  if (
    hash(body)
      .subarray(0, CHECK_BYTES)
      .some((byte, i) => byte !== bytes[i])
  )
    throw bad('is cut off or was changed')
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(body)))
  } catch {
    throw bad('is of a form that this version does not know')
  }
}
