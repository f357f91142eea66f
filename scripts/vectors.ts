// Writes what other implementations and our own tests read: protocol/vectors/*.json, the protocol in bytes, and the schema of manifests.
// The same in every run.
// Usage: node scripts/vectors.ts [--check]; with --check nothing is written, and a file that differs fails.
import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { manifestSchema } from '../protocol/manifest.ts'
import { envelopes, keys } from './vectors/envelopes.ts'
import type { VectorFile } from './vectors/kit.ts'
import { addresses, chains, invites, memberships, redemptions, revocations } from './vectors/members.ts'
import { codecVectors, framing, payloadRoots } from './vectors/payloads.ts'
import { evidence, gossip, signedRecords, updates } from './vectors/records.ts'
import { requests } from './vectors/requests.ts'
import { aggregation, deadlines, faults, sampling } from './vectors/rounds.ts'
import { joinLines, tasks } from './vectors/tasks.ts'
import { traces } from './vectors/traces.ts'

const FILES: Record<string, () => VectorFile> = {
  keys,
  envelope: envelopes,
  task: tasks,
  'join-line': joinLines,
  update: updates,
  gossip,
  evidence,
  signed: signedRecords,
  membership: memberships,
  revocation: revocations,
  invite: invites,
  redemption: redemptions,
  chain: chains,
  addresses,
  payload: payloadRoots,
  'codec-float32': () => codecVectors('float32'),
  'codec-float16': () => codecVectors('float16'),
  'codec-int8': () => codecVectors('int8'),
  framing,
  requests,
  round: traces,
  sampling,
  faults,
  deadline: deadlines,
  aggregation,
}

const protocol = new URL('../protocol/', import.meta.url)
const made = new Map<string, object>(Object.entries(FILES).map(([name, make]) => [`vectors/${name}.json`, make()]))
made.set('manifest.schema.json', z.toJSONSchema(manifestSchema, { io: 'input' }))

const check = process.argv.includes('--check')
const differing: string[] = []
for (const [path, content] of made) {
  const file = new URL(path, protocol)
  const text = `${JSON.stringify(content, null, 1)}\n`
  if (!check) writeFileSync(file, text)
  else if (read(file) !== text) differing.push(path)
}
if (differing.length > 0) {
  console.error(`In protocol/, ${differing.join(', ')} differ from what scripts/vectors.ts makes; run it and look at what changed.`)
  process.exitCode = 1
}

function read(file: URL): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
