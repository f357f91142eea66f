// The lab's speed: seconds of processor time that a round takes with more and more virtual peers, each in a process of its own, and a whole run
// of 100 peers against its goal. Processor time, not time on the clock: whatever else the machine does hardly counts.
// Usage: node scripts/bench/lab.ts [--peers 25,50,100,200,400] [--only sizes|goal]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { labDefaults, runLab } from '../../node/lab/run/index.ts'
import type { LabOptions } from '../../node/lab/run/types.ts'
import { type Check, describe } from './network/check.ts'

/** Peers that each pulls from. */
const FANOUT = 16
/** Rounds measured, after one in which models are compiled and peers find each other. */
const ROUNDS = 3
const GOAL = { seconds: 180, gigabytes: 4, cores: 2 }

interface Measured {
  /** Of the rounds after the first. */
  cpuSecondsARound: number
  cpuSeconds: number
  seconds: number
  peakBytes: number
  accuracy: number
}

/** Peers up to which all hear all: every announcement is checked by each, as in a real network, but here all of it in one process. */
const MOST_HEARD = 200

const MEASURES: { [name: string]: Partial<LabOptions> } = {
  'neighbours: each hears the 16 that it pulls from': { topology: `regular:${FANOUT}` },
  'everyone: each hears all, and pulls from 16 drawn anew': { fanout: FANOUT },
}

if (process.send === undefined) await main()
else {
  const [options] = (await once(process, 'message')) as [LabOptions]
  const cpu = () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  }
  const ends: number[] = []
  const { final } = await runLab(options, { onRound: () => void ends.push(cpu()) })
  const measured: Measured = {
    cpuSecondsARound: (ends.at(-1)! - ends[0]!) / (ends.length - 1),
    cpuSeconds: cpu(),
    seconds: final.seconds,
    peakBytes: final.peakBytes,
    accuracy: final.accuracy.mean,
  }
  process.send(measured, () => process.disconnect())
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { peers: { type: 'string', default: '25,50,100,200,400' }, only: { type: 'string', default: '' } },
  })
  const sizes = values.peers.split(',').map(Number)
  if ('sizes'.includes(values.only)) {
    for (const [name, change] of Object.entries(MEASURES)) {
      const hearsAll = change.topology === undefined
      await growth(name, change, hearsAll ? sizes.filter((peers) => peers <= MOST_HEARD) : sizes)
    }
  }
  if ('goal'.includes(values.only)) await goal()
}

async function growth(name: string, change: Partial<LabOptions>, sizes: readonly number[]): Promise<void> {
  console.log(`\n${name}; ${labDefaults.model}, ${labDefaults.steps} x ${labDefaults.batchSize} samples a round`)
  console.log(' peers   CPU s/round   CPU ms/round and peer    memory')
  let first: number | undefined
  for (const peers of sizes) {
    const { cpuSecondsARound, peakBytes } = await inProcess({ ...labDefaults, ...change, peers, rounds: ROUNDS + 1 })
    const each = (1000 * cpuSecondsARound) / peers
    first ??= each
    const ratio = `${(each / first).toFixed(2)} x`
    console.log(
      `${String(peers).padStart(6)}   ${cpuSecondsARound.toFixed(2).padStart(11)}   ${each.toFixed(1).padStart(12)} ${ratio.padStart(10)}   ${(peakBytes / 1e9).toFixed(2)} GB`,
    )
  }
}

async function goal(): Promise<void> {
  const options = { ...labDefaults, peers: 100, byzantine: 10, attack: 'alie', rounds: 20 }
  const { seconds, cpuSeconds, peakBytes, accuracy } = await inProcess(options)
  console.log(
    `\n100 peers, 10 of them with ALIE, ${options.model}, MNIST, 20 rounds of ${options.steps} x ${options.batchSize}: accuracy ${accuracy.toFixed(4)}`,
  )
  const checks: Check[] = [
    {
      ...{ name: 'seconds', value: cpuSeconds / GOAL.cores, goal: { most: GOAL.seconds } },
      what: `${cpuSeconds.toFixed(0)} s of processor time on ${GOAL.cores} cores; here it took ${seconds.toFixed(0)} s`,
    },
    { name: 'memory', value: peakBytes / 1e9, goal: { most: GOAL.gigabytes }, what: 'GB at most' },
  ]
  for (const check of checks) console.log(describe(check))
  if (checks.some(({ value, goal }) => 'most' in goal && value > goal.most)) process.exitCode = 1
}

async function inProcess(options: LabOptions): Promise<Measured> {
  const child = fork(fileURLToPath(import.meta.url))
  const answered = once(child, 'message')
  child.send(options)
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`a run of ${options.peers} peers ended with ${code}`)
  })
  failed.catch(() => {})
  const [measured] = (await Promise.race([answered, failed])) as [Measured]
  return measured
}
