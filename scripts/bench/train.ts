// Training speed beside PyTorch and TensorFlow.js where the machine has them, and what training does to the process around it.
// Ratios come from one run: the contestants are processes of one thread each that take turns, measured by their CPU time.
// Usage: node scripts/bench/train.ts [--only NAME] [--seconds S] [--json]
import { parseArgs } from 'node:util'
import { HOW_TO_GET, startBaseline } from './train/baselines.ts'
import { type Check, cancelling, loopAgainstSingle, memory, twoWorkers } from './train/behaviour.ts'
import { BASELINES, type Baseline, CASES } from './train/cases.ts'
import { type Contestant, nodeContestant, race } from './train/contestant.ts'

const SLICES = 7

const { values: flags } = parseArgs({
  options: {
    /** Part of a case's or check's name: mlp, gpt/8, loop, workers, delay, memory, cancel. */
    only: { type: 'string', default: '' },
    /** CPU seconds of a slice; each contestant gets seven. */
    seconds: { type: 'string', default: '0.25' },
    json: { type: 'boolean', default: false },
  },
})
const seconds = Number(flags.seconds)
const isWanted = (name: string): boolean => name.includes(flags.only)
const say = (line: string): void => void (flags.json || console.log(line))
const verdict = (ok: boolean): string => (ok ? 'ok' : 'MISSED')

interface Row {
  case: string
  baseline?: string
  /** CPU milliseconds a step. */
  ours: number
  theirs?: number
  ratio?: number
  goal?: number
}

async function speeds(): Promise<{ rows: Row[]; missing: string[] }> {
  const cases = CASES.filter(({ model, batch }) => isWanted(`${model}/${batch}`))
  const wanted = BASELINES.filter((name) => cases.some(({ goals }) => goals[name] !== undefined))
  const ours = nodeContestant('./ours.ts')
  const baselines = new Map<Baseline, Contestant>()
  for (const name of wanted) {
    const started = startBaseline(name)
    if (started !== undefined) baselines.set(name, started)
  }
  const rows: Row[] = []
  if (cases.length > 0) say(`${'CPU ms a step'.padEnd(18)}${'ours'.padStart(9)}${'theirs'.padStart(11)}${'ratio'.padStart(9)}    goal`)
  for (const { model, batch, goals } of cases) {
    const others = [...baselines].filter(([name]) => goals[name] !== undefined)
    await ours.open(model, batch)
    const names: string[] = []
    for (const [, contestant] of others) names.push(await contestant.open(model, batch))
    const [own = 0, ...times] = await race([ours, ...others.map(([, contestant]) => contestant)], { seconds, slices: SLICES })
    const made: Row[] = others.map(([name], i) => ({
      case: `${model}/${batch}`,
      baseline: name === 'torch-default' ? `${names[i]} as it is installed` : names[i]!,
      ours: own,
      theirs: times[i]!,
      ratio: times[i]! / own,
      goal: goals[name]!,
    }))
    for (const row of made.length > 0 ? made : [{ case: `${model}/${batch}`, ours: own }]) {
      rows.push(row)
      say(describe(row))
    }
  }
  for (const contestant of [ours, ...baselines.values()]) contestant.close()
  const missing = wanted
    .filter((name) => name !== 'torch-default')
    .filter((name) => !baselines.has(name))
    .map((name) => HOW_TO_GET[name])
  if (baselines.has('torch'))
    say('Where it does not say "as it is installed", PyTorch ran with glibc told to keep what it frees, which makes it faster.')
  for (const line of missing) say(`Not found: ${line}`)
  return { rows, missing }
}

function describe({ case: name, baseline, ours, theirs, ratio, goal }: Row): string {
  const own = `${name.padEnd(18)}${ours.toFixed(3).padStart(9)}`
  if (theirs === undefined || ratio === undefined || goal === undefined) return own
  return `${own}${theirs.toFixed(3).padStart(11)}${`${ratio.toFixed(2)}x`.padStart(9)}    >= ${goal}x ${verdict(ratio >= goal)}, ${baseline}`
}

const isReached = ({ value, goal }: Check): boolean => ('least' in goal ? value >= goal.least : value <= goal.most)

async function checks(): Promise<Check[]> {
  const measures = [
    { names: ['loop'], run: () => loopAgainstSingle(seconds) },
    { names: ['workers', 'delay'], run: twoWorkers },
    { names: ['memory'], run: memory },
    { names: ['cancel'], run: cancelling },
  ]
  const all: Check[] = []
  for (const { names, run } of measures) {
    if (!names.some(isWanted)) continue
    for (const check of [await run()].flat()) {
      all.push(check)
      const { name, what, value, goal } = check
      const asked = 'least' in goal ? `>= ${goal.least}` : `<= ${goal.most}`
      say(`${name.padEnd(9)} ${value.toFixed(2).padStart(7)}  ${asked} ${verdict(isReached(check))}; ${what}`)
    }
  }
  return all
}

const { rows, missing } = await speeds()
const measured = await checks()
if (flags.json)
  console.log(JSON.stringify({ speed: rows, checks: measured.map((check) => ({ ...check, ok: isReached(check) })), missing }, undefined, 2))
