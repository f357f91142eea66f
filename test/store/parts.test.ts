// Payloads that are put together over several processes: what was verified is there again, what was damaged is not, and all ends as an object.
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openObjects } from '../../node/store/objects.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { chunkOf, hashList, payloadRoot } from '../../protocol/payload.ts'
import { hexOf } from '../../protocol/task.ts'
import { sha256 } from '../helpers/keys.ts'

const LENGTH = 6 * LIMITS.chunkBytes + 1234
const payload = Uint8Array.from({ length: LENGTH }, (_, i) => (i * 7 + (i >> 9)) & 255)
const list = hashList(payload, sha256)
const root = hexOf(payloadRoot(payload, sha256))

async function fill(objects: Awaited<ReturnType<typeof openObjects>>, chunks: readonly number[]) {
  const part = await objects.openPart(root, LENGTH)
  part.list ??= list
  for (const index of chunks) {
    part.payload.set(chunkOf(payload, index), index * LIMITS.chunkBytes)
    part.chunks.add(index)
    part.save(index)
  }
  return part
}

t.test('chunks of a former process are there again, and the payload becomes an object', async (t) => {
  const dir = t.testdir()
  await (await fill(await openObjects(dir), [0, 2, 6])).leave()
  const objects = await openObjects(dir)
  const part = await objects.openPart(root, LENGTH)
  t.same([...part.chunks], [0, 2, 6])
  t.same(part.list, list)
  await part.leave()
  await (await fill(objects, [1, 3, 4, 5])).finish()
  t.equal(Buffer.compare((await (await openObjects(dir)).getObject(root))!, payload), 0)
  t.same(readdirSync(join(dir, 'objects')), [root])
})

t.test('a damaged chunk is not there; a damaged list, or another length, leaves nothing', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'objects', `${root}.part`)
  const again = async () => {
    const part = await (await openObjects(dir)).openPart(root, LENGTH)
    const found = [...part.chunks]
    await part.leave()
    return found
  }
  const write = async (damage: (bytes: Buffer) => void) => {
    await (await fill(await openObjects(dir), [0, 1, 6])).leave()
    const bytes = readFileSync(path)
    damage(bytes)
    writeFileSync(path, bytes)
  }
  await write((bytes) => bytes.writeUInt8(bytes[5]! ^ 1, 5))
  t.same(await again(), [1, 6])
  await write((bytes) => bytes.writeUInt8(bytes[LENGTH]! ^ 1, LENGTH))
  t.same(await again(), [])
  await write(() => {})
  truncateSync(path, LENGTH - 1)
  t.same(await again(), [])
  t.notOk(existsSync(path), 'what is of no use does not stay')
})

t.test('killed between the last byte and the new name, it is whole', async (t) => {
  const dir = t.testdir({ objects: { [`${root}.part`]: Buffer.from(payload) } })
  const part = await (await openObjects(dir)).openPart(root, LENGTH)
  t.equal(part.chunks.size, 7)
  await part.finish()
  t.same(readdirSync(join(dir, 'objects')), [root])
})

t.test('pruning removes what nobody asks for any more, and not what is being pulled', async (t) => {
  const dir = t.testdir()
  const objects = await openObjects(dir)
  const part = await fill(objects, [0])
  await objects.pruneObjects(new Set())
  t.same(readdirSync(join(dir, 'objects')), [`${root}.part`])
  await part.leave()
  await objects.pruneObjects(new Set([root]))
  t.same(readdirSync(join(dir, 'objects')), [`${root}.part`])
  await objects.pruneObjects(new Set())
  t.same(readdirSync(join(dir, 'objects')), [])
})
