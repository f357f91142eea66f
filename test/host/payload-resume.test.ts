// `kill -9` of a process in the middle of a pull: the same command goes on from the chunks that it has.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { PAYLOAD_PROTOCOL } from '../../node/host/payload-exchange.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { chunkCount, chunkOf } from '../../protocol/payload.ts'
import { hexOf } from '../../protocol/task.ts'
import { PayloadRequestSchema, PayloadResponseSchema } from '../../protocol/wire_pb.ts'
import { temporaryFolder } from '../helpers/processes.ts'
import { startPeer } from '../network/libp2p-peers.ts'
import { eventually } from '../network/recorder.ts'
import { start } from '../store/fixtures/process.ts'
import { partOf, payloadOf, same, TASK } from './payload-lab.ts'

/** Chunks that the first process is given. */
const GIVEN = 12

t.test('killed in the middle of a pull, the same command asks only for the chunks that it has not got', async (t) => {
  const { payload, ref, root } = payloadOf(40 * LIMITS.chunkBytes + 1000)
  const chunks = [...Array(chunkCount(payload.length)).keys()]
  const asked: (number | 'list')[] = []
  let given = 0
  let most = GIVEN
  const network = await startPeer(t)
  network.serve(PAYLOAD_PROTOCOL, async (body) => {
    const request = fromBinary(PayloadRequestSchema, body)
    asked.push(request.part.case === 'chunk' ? request.part.value : 'list')
    if (request.part.case === 'chunk' && ++given > most) await new Promise(() => {})
    return toBinary(PayloadResponseSchema, create(PayloadResponseSchema, { bytes: partOf(payload, request) }))
  })
  const dir = temporaryFolder(t)
  const file = join(dir, 'objects', `${root}.part`)
  const args = [dir, network.addresses()[0]!, hexOf(TASK), root, String(ref.length)] as const
  const keptChunks = () => {
    const bytes = readFileSync(file)
    return chunks.filter((index) => {
      const at = index * LIMITS.chunkBytes
      const chunk = chunkOf(payload, index)
      return same(bytes.subarray(at, at + chunk.length), chunk)
    })
  }

  const first = start(t, '../../host/payload-puller.ts', ...args)
  for (let line = await first.line(); Number(line) !== GIVEN * LIMITS.chunkBytes; line = await first.line()) {
    if (line === undefined) return t.fail('it ended')
  }
  await eventually('some of it on the disk', () => keptChunks().length > GIVEN / 2)
  t.notOk((await first.kill()).includes('done'))
  const kept = keptChunks()
  t.ok(kept.length <= GIVEN, `${kept.length} chunks are there`)

  asked.length = 0
  most = Number.POSITIVE_INFINITY
  const again = start(t, '../../host/payload-puller.ts', ...args)
  let last: string | undefined
  for (let line = await again.line(); line !== undefined; line = await again.line()) last = line
  t.equal(last, 'done')
  t.same(
    asked.toSorted((a, b) => Number(a) - Number(b)),
    chunks.filter((index) => !kept.includes(index)),
    'each missing chunk was asked for once, and nothing else',
  )
  t.ok(same(readFileSync(join(dir, 'objects', root)), payload))
  t.notOk(existsSync(file))
})
