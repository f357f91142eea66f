import { spawnSync } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { PeerEvent } from '../../node/events.ts'
import { openAudit } from '../../node/store/audit.ts'
import { readHistory, readInputs, readRejections } from '../../node/store/history.ts'
import { start } from './fixtures/process.ts'

const aggregated = (round: number): PeerEvent => ({
  type: 'aggregated',
  round,
  rule: 'trimmed-mean',
  f: 1,
  inputs: [
    { author: 'alice', round, weight: 0.6, distance: 0.1, kept: true, why: 'near' },
    { author: 'mallory', round: round - 1, weight: 0, distance: 99, kept: false, why: 'far', clip: 0.25, trimmed: 1 },
  ],
  accepted: 1,
  trimmed: 1,
  rejected: 2,
  influence: 0.01,
  seconds: 0.5,
})

const events = (round: number): PeerEvent[] => [
  { type: 'phase', round, phase: 'training' },
  { type: 'trained', round, steps: 20, samples: 640, loss: 2 / round, seconds: 1.5 },
  aggregated(round),
  { type: 'evaluated', round, split: 'validation', samples: 100, loss: 1 / round, accuracy: 0.5 },
]

t.test('history tells each round: losses, accuracy, inputs and times', async (t) => {
  const dir = t.testdir()
  t.strictSame(readHistory(dir), [], 'none yet')
  const audit = openAudit(dir, (message) => t.fail(message))
  for (const round of [1, 2]) events(round).forEach((event, i) => void audit.append(event, round * 100 + i))
  audit.append({ type: 'trained', round: 3, steps: 1, samples: 1, loss: Number.NaN, seconds: 1 }, 300)
  audit.append({ type: 'equivocation', author: 'mallory', round: 2 }, 301)
  audit.append({ type: 'jumped', from: 3, to: 9 }, 302)
  audit.append({ type: 'finished', round: 9, reason: 'rounds' }, 303)
  audit.close()
  const history = readHistory(dir)
  t.equal(history.length, 3)
  t.strictSame(history[1], {
    round: 2,
    at: 203,
    trainLoss: 1,
    loss: 0.5,
    accuracy: 0.5,
    accepted: 1,
    trimmed: 1,
    rejected: 2,
    rule: 'trimmed-mean',
    f: 1,
    influence: 0.01,
    trainSeconds: 1.5,
    aggregateSeconds: 0.5,
  })
  t.match(history[2], { round: 3, trainLoss: undefined, accuracy: undefined })
  t.strictSame(readInputs(dir, 2), [
    { author: 'alice', round: 2, weight: 0.6, distance: 0.1, kept: true, why: 'near' },
    { author: 'mallory', round: 1, weight: 0, distance: 99, kept: false, why: 'far', clip: 0.25, trimmed: 1 },
  ])
  t.strictSame(readInputs(dir, 7), [])
  const database = new DatabaseSync(join(dir, 'state.sqlite'), { readOnly: true })
  t.strictSame(
    database
      .prepare('SELECT type FROM happenings ORDER BY id')
      .all()
      .map((row) => row.type),
    ['equivocation', 'jumped', 'finished'],
  )
  database.close()
})

t.test('rejections are counted by reason, author and round', async (t) => {
  const dir = t.testdir()
  const audit = openAudit(dir, (message) => t.fail(message))
  for (let i = 0; i < 1000; i++) audit.append({ type: 'rejected', code: 'not-finite', author: 'mallory', round: 1 + (i % 2) }, i)
  audit.append({ type: 'rejected', code: 'malformed', from: 'bob' }, 1000)
  audit.loadRecords()
  audit.append({ type: 'rejected', code: 'not-finite', author: 'mallory', round: 1 }, 2000)
  audit.close()
  t.strictSame(readRejections(dir), [
    { code: 'not-finite', author: 'mallory', round: 1, count: 501, lastAt: 2000 },
    { code: 'not-finite', author: 'mallory', round: 2, count: 500, lastAt: 999 },
    { code: 'malformed', author: undefined, round: undefined, count: 1, lastAt: 1000 },
  ])
  t.equal(readRejections(dir, 'mallory').length, 2)
})

t.test('a flood of strangers does not grow the file without end, and every rejection still counts', async (t) => {
  const dir = t.testdir()
  const audit = openAudit(dir, (message) => t.fail(message))
  for (let i = 0; i < 30_000; i++) audit.append({ type: 'rejected', code: 'stale-round', author: `stranger ${i}`, round: i }, i)
  for (let i = 0; i < 6000; i++) audit.saveRecord(`stranger ${i}`, Uint8Array.of(i % 256))
  const records = audit.loadRecords()
  t.equal(records.length, 4096, 'the oldest records are forgotten')
  t.equal(records.at(-1)?.[0], 5999 % 256)
  audit.close()
  const rejections = readRejections(dir)
  t.ok(rejections.length <= 20_001, `${rejections.length} rows`)
  t.equal(
    rejections.reduce((sum, { count }) => sum + count, 0),
    30_000,
  )
})

t.test('what was appended is on disk soon, without closing, and can be read while the peer runs', async (t) => {
  const dir = t.testdir()
  const audit = openAudit(dir, (message) => t.fail(message))
  for (const event of events(1)) audit.append(event, 1)
  const deadline = performance.now() + 10_000
  while (readHistory(dir).length === 0 && performance.now() < deadline) await new Promise((done) => setTimeout(done, 20))
  t.equal(readHistory(dir).length, 1)
  audit.close()
})

t.test('records that were updated often do not push out one that was saved once', async (t) => {
  const audit = openAudit(t.testdir(), (message) => t.fail(message))
  audit.saveRecord('evidence mallory', Uint8Array.of(1))
  for (let i = 0; i < 10_000; i++) audit.saveRecord(`peer ${i % 600}`, Uint8Array.of(2))
  t.equal(audit.loadRecords().filter((record) => record[0] === 1).length, 1)
  audit.close()
})

t.test('a damaged history is set aside with one warning, and a new one begins', async (t) => {
  for (const bytes of [Buffer.from('not a database at all. '.repeat(500)), undefined]) {
    const dir = t.testdir()
    const path = join(dir, 'state.sqlite')
    const first = openAudit(dir, (message) => t.fail(message))
    for (let round = 1; round < 200; round++) for (const event of events(round)) first.append(event, round)
    first.close()
    const damaged = bytes ?? (await readFile(path)).fill(0x55, 0, 2000)
    await writeFile(path, damaged)
    const warnings: string[] = []
    const second = openAudit(dir, (message) => warnings.push(message))
    for (const event of events(1)) second.append(event, 1)
    second.close()
    t.equal(warnings.length, 1)
    t.equal(readHistory(dir).length, 1)
    t.ok((await readdir(dir)).includes('state.sqlite.damaged'))
  }
})

t.test('where no file can be made, the peer is told once and goes on', async (t) => {
  const dir = t.testdir({ 'state.sqlite': {} })
  const warnings: string[] = []
  const audit = openAudit(dir, (message) => warnings.push(message))
  audit.saveRecord('alice', Uint8Array.of(1))
  for (const event of events(1)) audit.append(event, 1)
  t.strictSame(audit.loadRecords(), [Uint8Array.of(1)])
  audit.close()
  t.equal(warnings.length, 1)
  t.throws(() => readHistory(dir), { code: 'disk-failed' })
})

t.test('history written by a process that was killed is read by the next', async (t) => {
  const dir = t.testdir()
  const writer = start(t, 'crash-writer.ts', dir)
  // Its batches are written twice a second; some rounds after the first batch it is killed.
  const deadline = performance.now() + 20_000
  while (readHistory(dir).length === 0 && performance.now() < deadline) await writer.line()
  await writer.kill()
  t.ok(readHistory(dir).length > 0)
})

t.test('nothing of this prints a warning of Node', async (t) => {
  const store = fileURLToPath(new URL('../../node/store/store.ts', import.meta.url))
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', `await import(${JSON.stringify(store)})`], {
    env: { ...process.env, NODE_OPTIONS: '' },
    encoding: 'utf8',
  })
  t.equal(child.stderr, '')
  t.equal(child.status, 0)
})
