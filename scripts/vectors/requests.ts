// Vectors of requests and responses, as what is inside the frames.
import { create, type DescMessage, type MessageInitShape, toBinary, toJson } from '@bufbuild/protobuf'
import {
  JoinRequestSchema,
  JoinResponseSchema,
  PayloadRequestSchema,
  PayloadResponseSchema,
  RecordsRequestSchema,
  RecordsResponseSchema,
  TaskRequestSchema,
  TaskResponseSchema,
} from '../../protocol/wire_pb.ts'
import { hexOf, joined, sha256, utf8, type VectorFile } from './kit.ts'

const task = sha256(utf8('a task'))
const hash = sha256(utf8('a payload'))
/** Stands for an envelope, which these messages carry unopened. */
const envelope = (name: string) => utf8(`the envelope of ${name}`)

export function requests(): VectorFile {
  const one = <D extends DescMessage>(why: string, schema: D, fields: MessageInitShape<D>) => {
    const message = create(schema, fields)
    return { why, message: schema.name, bytes: hexOf(toBinary(schema, message)), gives: toJson(schema, message) }
  }
  const records = [
    { body: { case: 'membership' as const, value: envelope('a membership') } },
    { body: { case: 'evidence' as const, value: { first: envelope('an update'), second: envelope('another') } } },
  ]
  return {
    about: "Requests and responses: bytes in; the message, in proto3's JSON (bytes as base64), out.",
    cases: [
      one('the task, asked by anyone', TaskRequestSchema, {}),
      one('the task, asked with an invite', TaskRequestSchema, {
        invite: envelope('an invite'),
        redemption: envelope('a redemption'),
      }),
      one('the task', TaskResponseSchema, { manifest: envelope('a manifest') }),
      one('joining by invite', JoinRequestSchema, {
        task,
        invite: envelope('an invite'),
        redemption: envelope('a redemption'),
      }),
      one('joining with a membership', JoinRequestSchema, { task, membership: envelope('a membership') }),
      one('joined', JoinResponseSchema, { membership: envelope('a membership'), roster: records.slice(0, 1), round: 300 }),
      one('records, of which two are held', RecordsRequestSchema, { task, digests: Uint8Array.from({ length: 16 }, (_, i) => i) }),
      one('records, asked by a peer that is about to sign', RecordsRequestSchema, { task, starting: true }),
      one('two records, and there are more', RecordsResponseSchema, { records, more: true }),
      one('nothing new, but a twin', RecordsResponseSchema, { twin: true }),
      one('the hash list', PayloadRequestSchema, { task, hash, part: { case: 'hashList', value: true } }),
      one('the first chunk: a number that is 0 is there all the same', PayloadRequestSchema, {
        task,
        hash,
        part: { case: 'chunk', value: 0 },
      }),
      one('the last chunk of the largest payload', PayloadRequestSchema, { task, hash, part: { case: 'chunk', value: 4095 } }),
      one('word that two are held', PayloadRequestSchema, {
        task,
        hash: joined(hash, sha256(utf8('another payload'))),
        part: { case: 'have', value: true },
      }),
      one('a chunk', PayloadResponseSchema, { bytes: utf8('a chunk') }),
      one('no more for now', PayloadResponseSchema, { retryMillis: 250 }),
    ],
  }
}
