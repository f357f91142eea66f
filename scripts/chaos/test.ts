// The chaos test: the same network twice, as real processes on machines of their own. Once in peace, and once with peers that are killed,
// paused and cut off, among others that lie, flood, withhold and corrupt.
// Usage: node scripts/chaos/test.ts [--quick] [--seed N] (Linux; root, or a kernel that allows user namespaces)
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { judge, mean } from './judge.ts'
import { createLan, insideNamespaces } from './lan.ts'
import type { Member } from './member.ts'
import type { Scale } from './plan.ts'
import { runNetwork } from './run.ts'

const cosine = (steps: number, rounds: number): string[] =>
  ['--steps', steps, '--batch-size', 16, '--lr', 0.02, '--schedule', 'cosine', '--schedule-steps', steps * rounds].map(String)

const FULL: Scale = {
  ...{ peers: 12, attackers: ['equivocate', 'flood', 'withhold', 'bad-chunks'], rounds: 30, leastRounds: 25 },
  ...{ kills: 8, downSeconds: [0, 5], pauses: 8, pauseSeconds: [3, 9], partitions: 3, partitionSeconds: [8, 16] },
  ...{ alpha: 0.1, byzantineShare: 0.1, gatherSeconds: [12, 20], work: cosine(150, 30), seconds: 1200, stallSeconds: 240 },
}
const QUICK: Scale = {
  ...{ peers: 7, attackers: ['equivocate', 'withhold', 'bad-chunks'], rounds: 16, leastRounds: 12 },
  ...{ kills: 2, downSeconds: [0, 2], pauses: 2, pauseSeconds: [3, 6], partitions: 1, partitionSeconds: [5, 8] },
  ...{ alpha: 0.5, byzantineShare: 0.15, gatherSeconds: [8, 12], work: cosine(100, 16), seconds: 400, stallSeconds: 150 },
}

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, seed: { type: 'string', default: '1' } } })
const scale = values.quick ? QUICK : FULL
const seed = Number(values.seed)

await insideNamespaces()
const lan = createLan(scale.peers)
const dir = await mkdtemp(join(tmpdir(), 'murmur-chaos-'))
// The first process of a PID namespace is not ended by signals that it does not ask for.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
const say = (line: string) => console.log(line)
try {
  say(`Seed ${seed}: ${scale.peers} peers, ${scale.rounds} rounds; misbehaving: ${scale.attackers.join(', ')}.`)
  say('In peace:')
  const baseline = await runNetwork(lan, join(dir, 'peace'), scale, undefined, say)
  say(
    `Took ${baseline.seconds.toFixed(0)} s; test accuracy ${percent(mean(baseline.honest.map(({ testAccuracy }) => testAccuracy ?? 0)))}.`,
  )
  say('Disturbed:')
  const disturbed = await runNetwork(lan, join(dir, 'chaos'), scale, { seed }, say)
  say(`Took ${disturbed.seconds.toFixed(0)} s.`)
  console.table(disturbed.members.map(rowOf))
  const verdicts = judge(baseline, disturbed, scale)
  for (const { demand, found, ok } of verdicts) say(`${ok ? 'ok    ' : 'FAILED'} ${demand}: ${found}`)
  if (verdicts.some(({ ok }) => !ok)) throw new Error(`Not all demands are met (seed ${seed}).`)
  await rm(dir, { recursive: true })
} catch (error) {
  console.error(`${(error as Error).message}\nThe peers' directories and logs are kept in ${dir}.`)
  process.exitCode = 1
}

function rowOf(member: Member) {
  const rss = Math.max(0, ...member.usage.flatMap(({ rss }) => rss))
  return {
    peer: member.index,
    role: member.misbehaves ?? 'honest',
    rounds: member.rounds.size,
    jumps: member.jumps,
    kills: member.kills,
    pauses: member.pauses,
    test: member.testAccuracy === undefined ? '' : percent(member.testAccuracy),
    'rss MiB': Math.round(rss / 2 ** 20),
    descriptors: Math.max(0, ...member.usage.flatMap(({ descriptors }) => descriptors)),
    'not taken': member.rejected.reduce((sum, { count }) => sum + count, 0),
    ended: member.died?.slice(0, 40) ?? '',
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}
