// Speed of the network, each measure against its goal; ratios come from one run.
// Usage: node scripts/bench/network.ts [--only NAME] [--peers N] [--json]
import { parseArgs } from 'node:util'
import { allToAll } from './network/all-to-all.ts'
import { announcements } from './network/announcements.ts'
import { type Check, describe } from './network/check.ts'
import { idle } from './network/idle.ts'
import { onePayload } from './network/one-payload.ts'

const { values: flags } = parseArgs({
  options: {
    /** Part of a measure's name: payload, all, records, idle. */
    only: { type: 'string', default: '' },
    /** In the network of the idle member: what it costs is much the same in a smaller one, which starts sooner. */
    peers: { type: 'string', default: '100' },
    json: { type: 'boolean', default: false },
  },
})
const MEASURES: { name: string; run: () => Promise<Check[]> | Check[] }[] = [
  { name: 'payload', run: onePayload },
  { name: 'records', run: announcements },
  { name: 'all', run: allToAll },
  { name: 'idle', run: () => idle(Number(flags.peers)) },
]
const checks: Check[] = []
for (const { name, run } of MEASURES) {
  if (!name.includes(flags.only)) continue
  for (const check of await run()) {
    checks.push(check)
    if (!flags.json) console.log(describe(check))
  }
}
if (flags.json) console.log(JSON.stringify(checks, undefined, 2))
