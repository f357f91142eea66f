import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createDurable, readIfPresent, sweepTemporary, writeDurable } from '../../node/store/files.ts'
import { onTmpfs } from './fixtures/process.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

t.test('a durable write replaces the whole file and leaves nothing else behind', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'file')
  t.equal(await readIfPresent(path), undefined)
  await writeDurable(path, bytes('a long first version'))
  await writeDurable(path, bytes('second'))
  t.strictSame(await readIfPresent(path), bytes('second'))
  t.strictSame(await readdir(dir), ['file'])
})

t.test('several parts and shared memory are written in order', async (t) => {
  const path = join(t.testdir(), 'file')
  const shared = new Uint8Array(new SharedArrayBuffer(700_000)).fill(7)
  await writeDurable(path, [bytes('head'), shared, new Uint8Array(), bytes('tail')], { mode: 0o600 })
  const read = await readFile(path)
  t.equal(read.length, 700_008)
  t.equal(`${read.subarray(0, 4)}${read[4]}${read[700_003]}${read.subarray(-4)}`, 'head77tail')
  t.equal((await stat(path)).mode & 0o777, 0o600)
})

t.test('many writes of one file at once leave one of them whole', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'file')
  await Promise.all(Array.from({ length: 20 }, (_, i) => writeDurable(path, new Uint8Array(10_000).fill(i))))
  const read = await readFile(path)
  t.equal(read.length, 10_000)
  t.equal(new Set(read).size, 1)
  t.strictSame(await readdir(dir), ['file'])
})

t.test('of many that create a file at once exactly one does, and all read its bytes', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'file')
  const made = await Promise.all(Array.from({ length: 10 }, (_, i) => createDurable(path, Uint8Array.of(i))))
  t.equal(made.filter(Boolean).length, 1)
  t.strictSame(await readIfPresent(path), Uint8Array.of(made.indexOf(true)))
  t.strictSame(await readdir(dir), ['file'])
})

t.test("sweeping removes what dead processes left, and neither this one's nor people's files", async (t) => {
  const dir = t.testdir({ 'announcement.0123456789ab-3.tmp': 'half', 'notes.tmp': 'mine', announcement: 'whole' })
  await sweepTemporary(dir)
  t.strictSame((await readdir(dir)).sort(), ['announcement', 'notes.tmp'])
})

t.test('disk errors are one sentence with the path, the reason and what to do', async (t) => {
  const dir = t.testdir({ file: 'not a directory', folder: {} })
  await t.rejects(writeDurable(join(dir, 'file', 'x'), bytes('x')), {
    code: 'disk-failed',
    message: `${join(dir, 'file', 'x')} cannot be written: a part of the path is a file, not a directory; use another path.`,
  })
  await t.rejects(writeDurable(join(dir, 'missing', 'x'), bytes('x')), { code: 'disk-failed', message: 'its directory does not exist' })
  await t.rejects(writeDurable(join(dir, 'folder'), bytes('x')), { code: 'disk-failed', message: 'it is a directory' })
  await t.rejects(readIfPresent(join(dir, 'folder')), { code: 'disk-failed', message: 'cannot be read: it is a directory' })
  await t.rejects(createDurable(join(dir, 'missing', 'x'), bytes('x')), { code: 'disk-failed' })
  t.strictSame((await readdir(dir)).sort(), ['file', 'folder'], 'nothing half-written stays')
})

t.test('a full disk keeps the old bytes and says that it is full', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'file')
  const why = await onTmpfs(dir, 'size=64k', async () => {
    await writeDurable(path, bytes('old'))
    await t.rejects(writeDurable(path, new Uint8Array(1_000_000)), {
      code: 'disk-failed',
      message: `${path} cannot be written: the disk is full; free some space and start again.`,
    })
    t.strictSame(await readIfPresent(path), bytes('old'))
    t.strictSame(await readdir(dir), ['file'])
  })
  if (why !== undefined) t.pass('a small file system', { skip: why })
})

t.test('a read-only file system is called that', async (t) => {
  const dir = t.testdir()
  const why = await onTmpfs(dir, 'size=64k,ro', async () => {
    await t.rejects(writeDurable(join(dir, 'file'), bytes('x')), { code: 'disk-failed', message: 'the file system is read-only' })
  })
  if (why !== undefined) t.pass('a small file system', { skip: why })
})

t.test('a directory without permission is called that', async (t) => {
  if (process.getuid?.() === 0) return t.pass('a directory', { skip: 'root may write everywhere' })
  const dir = join(t.testdir(), 'closed')
  await mkdir(dir, { mode: 0o500 })
  await t.rejects(writeFile(join(dir, 'probe'), ''), { code: 'EACCES' })
  await t.rejects(writeDurable(join(dir, 'file'), bytes('x')), { code: 'disk-failed', message: 'there is no permission' })
})
