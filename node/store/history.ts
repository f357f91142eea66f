// Reads the audit trail, also while the peer that writes it runs: what charts, `why` and the dashboard show.
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { InputAudit } from '../../protocol/aggregation/types.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { PeerEvent } from '../events.ts'
import { AUDIT_FILE } from './audit-schema.ts'

/** A round as far as it went; what has not happened yet is undefined. */
export interface RoundHistory {
  round: number
  /** Milliseconds since 1970 of the last thing that happened in it. */
  at: number
  /** Mean loss of local training. */
  trainLoss: number | undefined
  /** On the own validation split, after aggregation. */
  loss: number | undefined
  accuracy: number | undefined
  accepted: number | undefined
  trimmed: number | undefined
  rejected: number | undefined
  rule: string | undefined
  f: number | undefined
  influence: number | undefined
  trainSeconds: number | undefined
  aggregateSeconds: number | undefined
}

/** What a round did with one input. */
export interface InputHistory extends InputAudit {
  author: PeerId
  /** The round that the input was announced for. */
  round: number
}

/** How often something was turned away; `author` and `round` where they were known. */
export interface RejectionHistory {
  code: string
  author: PeerId | undefined
  round: number | undefined
  count: number
  lastAt: number
}

export type RejectionTotals = Omit<RejectionHistory, 'round'>

type Sqlite = Record<string, unknown>

/** All rounds in order, or the last of them; [] where the directory has no history. @throws disk-failed */
export function readHistory(dir: string, last = -1): RoundHistory[] {
  return reading(dir, (all) =>
    all('SELECT * FROM (SELECT * FROM rounds ORDER BY round DESC LIMIT ?) ORDER BY round', last).map((row) => ({
      round: Number(row.round),
      at: Number(row.at),
      trainLoss: number(row.train_loss),
      loss: number(row.loss),
      accuracy: number(row.accuracy),
      accepted: number(row.accepted),
      trimmed: number(row.trimmed),
      rejected: number(row.rejected),
      rule: typeof row.rule === 'string' ? row.rule : undefined,
      f: number(row.f),
      influence: number(row.influence),
      trainSeconds: number(row.train_seconds),
      aggregateSeconds: number(row.aggregate_seconds),
    })),
  )
}

/** What a round did with each input, heaviest first; [] where it is not known. @throws disk-failed */
export function readInputs(dir: string, round: number): InputHistory[] {
  return reading(dir, (all) =>
    all('SELECT * FROM inputs WHERE round = ? ORDER BY weight DESC, author', round).map((row) => ({
      author: String(row.author),
      round: Number(row.input_round),
      // SQLite stores NaN as NULL.
      weight: number(row.weight) ?? Number.NaN,
      distance: number(row.distance) ?? Number.NaN,
      kept: row.kept === 1,
      why: String(row.why),
      ...(typeof row.clip === 'number' && { clip: row.clip }),
      ...(typeof row.trimmed === 'number' && { trimmed: row.trimmed }),
    })),
  )
}

/** What was turned away, the most frequent first; of one author where given. @throws disk-failed */
export function readRejections(dir: string, author?: PeerId): RejectionHistory[] {
  return reading(dir, (all) =>
    all('SELECT * FROM rejections WHERE ?1 IS NULL OR author = ?1 ORDER BY count DESC, last DESC', author ?? null).map((row) => ({
      code: String(row.code),
      author: row.author === '' ? undefined : String(row.author),
      round: row.round === -1 ? undefined : Number(row.round),
      count: Number(row.count),
      lastAt: Number(row.last),
    })),
  )
}

/** The same, all rounds together: the most frequent of each code and author, at most `most`. @throws disk-failed */
export function readRejectionTotals(dir: string, most: number): RejectionTotals[] {
  return reading(dir, (all) =>
    all(
      'SELECT code, author, sum(count) AS count, max(last) AS last FROM rejections GROUP BY code, author ORDER BY count DESC LIMIT ?',
      most,
    ).map((row) => ({
      code: String(row.code),
      author: row.author === '' ? undefined : String(row.author),
      count: Number(row.count),
      lastAt: Number(row.last),
    })),
  )
}

/** The last things that happened besides rounds, oldest first: warnings, equivocations, jumps, ends. @throws disk-failed */
export function readHappenings(dir: string, last: number): { at: number; event: PeerEvent }[] {
  return reading(dir, (all) =>
    all('SELECT * FROM (SELECT id, at, event FROM happenings ORDER BY id DESC LIMIT ?) ORDER BY id', last).map((row) => ({
      at: Number(row.at),
      event: JSON.parse(String(row.event)) as PeerEvent,
    })),
  )
}

const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)

function reading<T>(dir: string, read: (all: (sql: string, ...values: (string | number | null)[]) => Sqlite[]) => T[]): T[] {
  const path = join(resolve(dir), AUDIT_FILE)
  if (!existsSync(path)) return []
  let database: DatabaseSync | undefined
  try {
    const opened = new DatabaseSync(path, { readOnly: true })
    database = opened
    return read((sql, ...values) => opened.prepare(sql).all(...values))
  } catch (cause) {
    throw new MurmurError('disk-failed', `The history ${path} cannot be read (${(cause as Error).message}); training does not need it.`, {
      cause,
    })
  } finally {
    database?.close()
  }
}
