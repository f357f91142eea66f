// The protocol's vectors, read as another implementation would: every file, every case.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Case } from './vectors/kit.ts'
import { RECORD_CHECKS } from './vectors/records.ts'
import { ROUND_CHECKS } from './vectors/rounds.ts'

const folder = new URL('../../protocol/vectors/', import.meta.url)
const CHECKS = { ...RECORD_CHECKS, ...ROUND_CHECKS }

/** Framing needs streams: see vectors-framing.test.ts. */
const ELSEWHERE = new Set(['framing'])

for (const file of readdirSync(folder).sort()) {
  const name = file.replace(/\.json$/, '')
  if (ELSEWHERE.has(name)) continue
  t.test(`${file}: every case gives what it says`, async (t) => {
    const { cases } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as { cases: Case[] }
    const check = CHECKS[name]
    t.ok(check !== undefined && cases.length > 0, 'there is a check for the file')
    for (const one of cases) await t.test(one.why, async (t) => check?.(t, one))
  })
}

t.test('the files are what scripts/vectors.ts makes', (t) => {
  const script = fileURLToPath(new URL('../../scripts/vectors.ts', import.meta.url))
  t.doesNotThrow(() => execFileSync(process.execPath, [script, '--check'], { env: { ...process.env, NODE_OPTIONS: '' }, stdio: 'pipe' }))
  t.end()
})
