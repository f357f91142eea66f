// The audit trail in `state.sqlite`: what each round did with each input, what was turned away, and others' newest signed records.
// Nothing here is needed to go on, so it is written in batches, and a full disk costs history, never the peer.
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { LIMITS } from '../../protocol/limits.ts'
import type { PeerEvent } from '../events.ts'
import { AUDIT_FILE, SCHEMA, SCHEMA_VERSION } from './audit-schema.ts'

export interface Audit {
  append(event: PeerEvent, wallMillis: number): void
  saveRecord(key: string, envelope: Uint8Array): void
  loadRecords(): Uint8Array[]
  /** Writes what is pending; what is appended later is dropped. */
  close(): void
}

/** Milliseconds until what was appended is written: at most this much history is lost by `kill -9`. */
const FLUSH_MILLIS = 500
/** Appended events and records that are written at once rather than waited with. */
const FLUSH_COUNT = 512
/** Signed records kept, the oldest forgotten first: each member's newest, evidence, and as much again for those who left. */
const RECORDS_KEPT = 4 * LIMITS.members
/** Rows that count rejections; beyond it they are counted without round or author, whom strangers can invent. */
const REJECTION_ROWS = 20_000
/** Rounds whose inputs are kept one by one: some 30 MB at 30 peers. */
const INPUT_ROUNDS = 10_000
/** Pages (4 KiB) of log before SQLite folds it into the database: small, so that doing it is short. */
const CHECKPOINT_PAGES = 250
/** SQLite's results for a file that is no database, or one that is damaged. */
const DAMAGED = [11, 26]

type Row = (string | number | null | Uint8Array)[]

/** Opens the trail of a directory whose lock is held. Where that fails it goes on in memory and says so through `onWarning`. */
export function openAudit(dir: string, onWarning: (message: string) => void): Audit {
  const path = join(dir, AUDIT_FILE)
  let warned = false
  const warn = (what: string, cause: unknown) => {
    if (!warned) onWarning(`${path} ${what} (${(cause as Error).message}); training goes on, but the history has gaps.`)
    warned = true
  }
  const database = openOrReplace(path, warn)
  const statements = prepare(database)
  let rejectionRows = Number(database.prepare('SELECT count(*) AS n FROM rejections').get()?.n)

  let rows: [keyof typeof statements, Row][] = []
  const records = new Map<string, Uint8Array>()
  const rejections = new Map<string, { code: string; author: string; round: number; count: number; at: number }>()
  let timer: NodeJS.Timeout | undefined
  let closed = false

  function later(): void {
    if (rows.length + records.size + rejections.size >= FLUSH_COUNT) flush()
    else timer ??= setTimeout(flush, FLUSH_MILLIS).unref()
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (closed || rows.length + records.size + rejections.size === 0) return
    try {
      database.exec('BEGIN')
      for (const [name, row] of rows) statements[name].run(...row)
      for (const { code, author, round, count, at } of rejections.values()) countRejection(code, author, round, count, at)
      for (const [key, envelope] of records) statements.record.run(key, envelope)
      if (records.size > 0) statements.forgetRecords.run(RECORDS_KEPT)
      database.exec('COMMIT')
    } catch (cause) {
      warn('cannot be written', cause)
      rollBack()
    }
    rows = []
    records.clear()
    rejections.clear()
  }

  function rollBack(): void {
    try {
      if (database.isTransaction) database.exec('ROLLBACK')
    } catch (cause) {
      warn('cannot be written', cause)
    }
  }

  /** Adds to the most exact row there is room for. */
  function countRejection(code: string, author: string, round: number, count: number, at: number): void {
    for (const [who, when] of [[author, round] as const, [author, -1] as const]) {
      if (statements.addRejection.run(count, at, code, who, when).changes > 0) return
      if (rejectionRows >= REJECTION_ROWS) continue
      statements.newRejection.run(code, who, when, count, at, at)
      rejectionRows++
      return
    }
    if (statements.addRejection.run(count, at, code, '', -1).changes === 0) statements.newRejection.run(code, '', -1, count, at, at)
  }

  return {
    append(event, at) {
      if (event.type === 'rejected') {
        const { code, author = '', round = -1 } = event
        const key = `${code} ${author} ${round}`
        const known = rejections.get(key)
        if (known === undefined) rejections.set(key, { code, author, round, count: 1, at })
        else Object.assign(known, { count: known.count + 1, at })
      } else {
        const added = rowsOf(event, at)
        if (added.length === 0) return
        rows.push(...added)
      }
      later()
    },
    saveRecord(key, envelope) {
      records.delete(key)
      records.set(key, envelope)
      later()
    },
    loadRecords() {
      flush()
      return statements.records.all().map((row) => row.envelope as Uint8Array)
    },
    close() {
      flush()
      if (!closed) database.close()
      closed = true
    },
  }
}

/** The rows an event leaves behind; none for what only matters while it happens. */
function rowsOf(event: PeerEvent, at: number): [keyof ReturnType<typeof prepare>, Row][] {
  switch (event.type) {
    case 'trained':
      return [['trained', [event.round, at, event.steps, event.samples, event.loss, event.seconds]]]
    case 'aggregated': {
      const { round, rule, f, accepted, trimmed, rejected, influence = null, seconds, inputs } = event
      return [
        ['aggregated', [round, at, rule, f, accepted, trimmed, rejected, influence, seconds]],
        ...inputs.map((input): ['input', Row] => {
          const { author, weight, distance, kept, why, clip = null, trimmed = null } = input
          return ['input', [round, author, input.round, weight, distance, Number(kept), why, clip, trimmed]]
        }),
        ['forgetInputs', [round - INPUT_ROUNDS]],
      ]
    }
    case 'evaluated':
      if (event.split === 'validation') return [['evaluated', [event.round, at, event.loss, event.accuracy ?? null]]]
      return [['happened', [at, event.type, event.round, JSON.stringify(event)]]]
    case 'jumped':
    case 'synced':
      return [['happened', [at, event.type, event.to, JSON.stringify(event)]]]
    case 'equivocation':
    case 'finished':
    case 'stopped':
      return [['happened', [at, event.type, event.round, JSON.stringify(event)]]]
    case 'warning':
      return [['happened', [at, event.type, null, JSON.stringify(event)]]]
    default:
      return []
  }
}

function openOrReplace(path: string, warn: (what: string, cause: unknown) => void): DatabaseSync {
  try {
    return open(path)
  } catch (cause) {
    if (!DAMAGED.includes((cause as { errcode?: number }).errcode ?? 0)) {
      warn('cannot be opened', cause)
      return open(':memory:')
    }
    try {
      for (const tail of ['', '-wal', '-shm']) moveAside(path + tail)
      warn(`was damaged and is now ${path}.damaged`, cause)
      return open(path)
    } catch (again) {
      warn('is damaged and cannot be moved away', again)
      return open(':memory:')
    }
  }
}

function moveAside(path: string): void {
  try {
    renameSync(path, `${path}.damaged`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function open(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  try {
    // WAL with NORMAL: a commit needs no fsync, and `kill -9` loses nothing committed; only power loss may lose the newest rows.
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
    // A table of another version would make every write fail: it counts as damaged, and history begins anew.
    const version = Number(database.prepare('PRAGMA user_version').get()?.user_version)
    if (version !== 0 && version !== SCHEMA_VERSION) {
      throw Object.assign(new Error(`it has version ${version}, this program writes ${SCHEMA_VERSION}`), { errcode: DAMAGED[0] })
    }
    database.exec(SCHEMA)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function prepare(database: DatabaseSync) {
  const upsert = (columns: string, values: string) =>
    database.prepare(
      `INSERT INTO rounds (round, at, ${columns}) VALUES (?, ?, ${values}) ON CONFLICT (round) DO UPDATE SET ${[
        'at',
        ...columns.split(', '),
      ]
        .map((name) => `${name} = excluded.${name}`)
        .join(', ')}`,
    )
  return {
    trained: upsert('steps, samples, train_loss, train_seconds', '?, ?, ?, ?'),
    aggregated: upsert('rule, f, accepted, trimmed, rejected, influence, aggregate_seconds', '?, ?, ?, ?, ?, ?, ?'),
    evaluated: upsert('loss, accuracy', '?, ?'),
    input: database.prepare('INSERT OR REPLACE INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    forgetInputs: database.prepare('DELETE FROM inputs WHERE round < ?'),
    happened: database.prepare('INSERT INTO happenings (at, type, round, event) VALUES (?, ?, ?, ?)'),
    addRejection: database.prepare('UPDATE rejections SET count = count + ?, last = ? WHERE code = ? AND author = ? AND round = ?'),
    newRejection: database.prepare('INSERT INTO rejections VALUES (?, ?, ?, ?, ?, ?)'),
    record: database.prepare('INSERT OR REPLACE INTO records (key, envelope) VALUES (?, ?)'),
    forgetRecords: database.prepare('DELETE FROM records WHERE id IN (SELECT id FROM records ORDER BY id DESC LIMIT -1 OFFSET ?)'),
    records: database.prepare('SELECT envelope FROM records ORDER BY id'),
  }
}
