import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Checkpoint, Store } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { decodeSafetensors } from '../../node/store/safetensors.ts'
import { openStore, type StoreOptions } from '../../node/store/store.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { sha256 } from '../helpers/keys.ts'
import { onTmpfs } from './fixtures/process.ts'

const layout: StoreOptions['layout'] = [
  { name: 'conv.weight', shape: [2, 3], offset: 0, segment: 'shared' },
  { name: 'optimizer', shape: [4], offset: 6, segment: 'shared' },
  { name: 'mean', shape: [], offset: 10, segment: 'stats' },
]
const SIZE = 11

function checkpoint(round: number, stage: Checkpoint['stage'], value = round): Checkpoint {
  const params = Float32Array.from({ length: SIZE }, (_, i) => value + i / 100)
  return { round, stage, steps: round * 10, params, optimizer: Float32Array.of(value, -value) }
}

const rootOf = (bytes: Uint8Array) => Buffer.from(payloadRoot(bytes, sha256)).toString('hex')

async function open(t: Test, dir: string, options: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await openStore(dir, { layout, onWarning: (message) => t.fail(message), ...options })
  t.teardown(() => store.close())
  return store
}

const stores: [string, (t: Test) => Promise<Store>][] = [
  ['memory', async () => memoryStore()],
  ['a directory', (t) => open(t, t.testdir())],
]

for (const [name, make] of stores) {
  t.test(`in ${name}, what is put is found, and the newest replaces the older`, async (t) => {
    const store = await make(t)
    const [first, second] = [Uint8Array.of(1, 2, 3), new Uint8Array(300_000).fill(9)]
    t.equal(await store.getObject(rootOf(first)), undefined)
    t.equal(await store.loadAnnouncement(), undefined)
    t.equal(await store.loadCheckpoint(), undefined)
    t.strictSame(store.loadRecords(), [])

    await Promise.all([first, second, second].map((bytes) => store.putObject(rootOf(bytes), bytes)))
    t.strictSame(await store.getObject(rootOf(first)), first)
    t.strictSame(await store.getObject(rootOf(second)), second)
    await store.pruneObjects(new Set([rootOf(second)]))
    t.equal(await store.getObject(rootOf(first)), undefined)
    t.strictSame(await store.getObject(rootOf(second)), second)
    await store.putObject(rootOf(first), first)
    t.strictSame(await store.getObject(rootOf(first)), first, 'what was pruned can be put again')

    await Promise.all([1, 2, 3].map((value) => store.saveAnnouncement(Uint8Array.of(value))))
    t.strictSame(await store.loadAnnouncement(), Uint8Array.of(3))
    await Promise.all([checkpoint(1, 'trained'), checkpoint(1, 'aggregated'), checkpoint(2, 'trained')].map(store.saveCheckpoint))
    t.strictSame(await store.loadCheckpoint(), checkpoint(2, 'trained'))

    store.saveRecord('alice', Uint8Array.of(1))
    store.saveRecord('bob', Uint8Array.of(2))
    store.saveRecord('alice', Uint8Array.of(3))
    t.strictSame(
      store
        .loadRecords()
        .map((record) => record[0])
        .sort(),
      [2, 3],
    )
    store.append({ type: 'jumped', from: 1, to: 5 }, 0)
    await store.close()
  })
}

t.test('a directory opened again holds everything that was in it', async (t) => {
  const dir = t.testdir()
  const first = await open(t, dir)
  const payload = Uint8Array.of(5, 6)
  await first.putObject(rootOf(payload), payload)
  await first.saveAnnouncement(Uint8Array.of(7))
  await first.saveCheckpoint(checkpoint(3, 'aggregated'))
  first.saveRecord('alice', Uint8Array.of(8))
  await first.close()
  const second = await open(t, dir, { optimizerSize: 2 })
  t.strictSame(await second.getObject(rootOf(payload)), payload)
  t.strictSame(await second.loadAnnouncement(), Uint8Array.of(7))
  t.strictSame(await second.loadCheckpoint(), checkpoint(3, 'aggregated'))
  t.strictSame(second.loadRecords(), [Uint8Array.of(8)])
})

t.test("a checkpoint is a safetensors file with the model's own tensors, and only the newest is kept", async (t) => {
  const dir = t.testdir()
  const store = await open(t, dir)
  await store.saveCheckpoint(checkpoint(1, 'trained'))
  await store.saveCheckpoint(checkpoint(1, 'aggregated'))
  const file = 'checkpoint-1-aggregated.safetensors'
  t.strictSame((await readdir(dir)).filter((name) => name.startsWith('checkpoint')).sort(), [file, 'checkpoint.json'])
  const { tensors } = decodeSafetensors(await readFile(join(dir, file)), file)
  t.strictSame([...tensors.keys()], ['conv.weight', 'optimizer', 'mean', 'optimizer_'])
  t.strictSame(tensors.get('conv.weight')?.shape, [2, 3])
  const manifest = JSON.parse(await readFile(join(dir, 'checkpoint.json'), 'utf8'))
  t.match(manifest, { round: 1, stage: 'aggregated', steps: 10, file, sha256: /^[0-9a-f]{64}$/ })
})

t.test('parameters and optimizer state in shared memory are saved too, and an empty optimizer state', async (t) => {
  const store = await open(t, t.testdir())
  const params = new Float32Array(new SharedArrayBuffer(SIZE * 4)).fill(2)
  await store.saveCheckpoint({ round: 1, stage: 'trained', steps: 0, params, optimizer: new Float32Array() })
  const loaded = await store.loadCheckpoint()
  t.strictSame(loaded?.params, new Float32Array(SIZE).fill(2))
  t.equal(loaded?.optimizer.length, 0)
})

/** A directory as a crash between writing round 2's checkpoint and its manifest leaves it: both rounds are there. */
async function between(t: Test): Promise<{ dir: string; older: string; newer: string; manifest: string }> {
  const dir = t.testdir({ spare: {} })
  const [older, newer, manifest] = ['checkpoint-1-aggregated.safetensors', 'checkpoint-2-trained.safetensors', 'checkpoint.json'].map(
    (name) => join(dir, name),
  ) as [string, string, string]
  const store = await open(t, dir)
  await store.saveCheckpoint(checkpoint(1, 'aggregated'))
  for (const path of [older, manifest]) await copyFile(path, join(dir, 'spare', path.slice(dir.length + 1)))
  await store.saveCheckpoint(checkpoint(2, 'trained'))
  await store.close()
  for (const path of [older, manifest]) await rename(join(dir, 'spare', path.slice(dir.length + 1)), path)
  return { dir, older, newer, manifest }
}

t.test('the manifest says which checkpoint counts, and the next save removes the others', async (t) => {
  const { dir, older, newer } = await between(t)
  const store = await open(t, dir)
  t.strictSame(await store.loadCheckpoint(), checkpoint(1, 'aggregated'), 'the acknowledged one')
  await store.saveCheckpoint(checkpoint(3, 'trained'))
  const names = await readdir(dir)
  for (const path of [older, newer]) t.notOk(names.includes(path.slice(dir.length + 1)))
})

const damages: [string, (path: string) => Promise<void>][] = [
  ['truncated', (path) => truncate(path, 100)],
  ['empty', (path) => truncate(path, 0)],
  ['missing', (path) => rm(path)],
  [
    'changed in one bit',
    async (path) => {
      const bytes = await readFile(path)
      bytes[bytes.length - 20]! ^= 1
      await writeFile(path, bytes)
    },
  ],
]

for (const [damage, apply] of damages) {
  t.test(`a checkpoint that is ${damage} is told, and another whole one is used`, async (t) => {
    const { dir, older } = await between(t)
    await apply(older)
    const warnings: string[] = []
    const store = await open(t, dir, { onWarning: (message) => warnings.push(message) })
    t.strictSame(await store.loadCheckpoint(), checkpoint(2, 'trained'))
    t.equal(warnings.length, 1)
    t.match(warnings[0], /checkpoint-1-aggregated.* Going on from checkpoint-2-trained/)
  })

  t.test(`an only checkpoint that is ${damage} is an error in one sentence`, async (t) => {
    const dir = t.testdir()
    const store = await open(t, dir)
    await store.saveCheckpoint(checkpoint(1, 'trained'))
    await apply(join(dir, 'checkpoint-1-trained.safetensors'))
    await t.rejects(store.loadCheckpoint(), { code: 'directory-invalid', message: /checkpoint-1-trained.*Restore the directory/ })
  })

  t.test(`a checkpoint's manifest that is ${damage} does not matter where the checkpoint is whole`, async (t) => {
    const { dir, manifest, older } = await between(t)
    await rm(older)
    await apply(manifest).catch(() => writeFile(manifest, '{'))
    const store = await open(t, dir, { onWarning: () => {} })
    t.strictSame(await store.loadCheckpoint(), checkpoint(2, 'trained'))
  })
}

t.test("another task's checkpoint is not loaded", async (t) => {
  const dir = t.testdir()
  const store = await open(t, dir)
  await store.saveCheckpoint(checkpoint(1, 'trained'))
  const other = (entries: StoreOptions['layout']) => open(t, dir, { layout: entries })
  await t.rejects((await other(layout.slice(0, 2))).loadCheckpoint(), { code: 'directory-invalid' })
  await t.rejects((await other(layout.map((entry) => ({ ...entry, name: `${entry.name}2` })))).loadCheckpoint(), {
    code: 'directory-invalid',
  })
  await t.rejects((await other([{ ...layout[0]!, shape: [3, 2] }, ...layout.slice(1)])).loadCheckpoint(), { code: 'directory-invalid' })
  await t.rejects((await open(t, dir, { optimizerSize: 3 })).loadCheckpoint(), {
    code: 'directory-invalid',
    message: 'holds 2 values of optimizer state instead of 3',
  })
  await t.rejects(store.saveCheckpoint({ ...checkpoint(1, 'trained'), params: new Float32Array(3) }), { code: 'internal' })
})

t.test('a payload that the disk damaged is forgotten, so that it is pulled again', async (t) => {
  const dir = t.testdir()
  const payload = new Uint8Array(600_000).fill(3)
  const root = rootOf(payload)
  const first = await open(t, dir)
  await first.putObject(root, payload)
  await first.close()
  await truncate(join(dir, 'objects', root), 599_999)
  const second = await open(t, dir)
  t.equal(await second.getObject(root), undefined)
  await second.putObject(root, payload)
  t.strictSame(await second.getObject(root), payload)
  await rm(join(dir, 'objects', root))
  t.equal(await second.getObject(root), undefined)
  await second.putObject(root, payload)
  t.strictSame(await second.getObject(root), payload, 'also one that someone removed')
})

t.test('an object has the name of a hash, never a path', async (t) => {
  const store = await open(t, t.testdir())
  for (const root of ['../x', '', 'AB', `${'a'.repeat(63)}/`, createHash('sha1').update('').digest('hex')]) {
    await t.rejects(store.putObject(root, Uint8Array.of(1)), { code: 'bad-argument' })
    await t.rejects(store.getObject(root), { code: 'bad-argument' })
  }
})

t.test('a full disk fails a write with its reason, and the state stays the one before', async (t) => {
  const dir = t.testdir()
  const why = await onTmpfs(dir, 'size=512k', async () => {
    const warnings: string[] = []
    const store = await openStore(dir, {
      layout: [{ name: 'w', shape: [20_000], offset: 0, segment: 'shared' }],
      onWarning: (text) => warnings.push(text),
    })
    const big = (round: number): Checkpoint => ({ ...checkpoint(round, 'trained'), params: new Float32Array(20_000).fill(round) })
    await store.saveCheckpoint(big(1))
    await store.saveAnnouncement(Uint8Array.of(1))
    await writeFile(join(dir, 'filler'), new Uint8Array(1_000_000)).catch(() => {})
    const full = { code: 'disk-failed', message: 'the disk is full' }
    await t.rejects(store.saveCheckpoint(big(2)), full)
    await t.rejects(store.saveAnnouncement(new Uint8Array(5000)), full)
    await t.rejects(store.putObject('0'.repeat(64), new Uint8Array(5000)), full)
    t.strictSame((await store.loadCheckpoint())?.params, big(1).params)
    t.strictSame(await store.loadAnnouncement(), Uint8Array.of(1))
    for (let i = 0; i < 5000; i++) store.append({ type: 'evaluated', round: i, split: 'validation', samples: 1, loss: 1, accuracy: 1 }, i)
    t.equal(warnings.length, 1, 'history that cannot be written is told once')
    await rm(join(dir, 'filler'))
    await store.saveCheckpoint(big(3))
    t.equal((await store.loadCheckpoint())?.round, 3, 'and with space again it goes on')
    await store.close()
  })
  if (why !== undefined) t.pass('a small file system', { skip: why })
})

t.test('a directory that is none is told in one sentence', async (t) => {
  const dir = t.testdir({ file: '', taken: {} })
  await t.rejects(openStore(join(dir, 'file'), { layout, onWarning: () => {} }), { code: 'disk-failed' })
  await mkdir(join(dir, 'broken'))
  await writeFile(join(dir, 'broken', 'objects'), '')
  await t.rejects(openStore(join(dir, 'broken'), { layout, onWarning: () => {} }), { code: 'disk-failed', message: 'broken/objects' })
})
