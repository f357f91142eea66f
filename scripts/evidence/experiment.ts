// What every experiment is: cases with what was published of them, run once for each seed, kept in a file as soon as each is done, and
// judged: how far ours are from theirs, and which of the published statements hold for ours too.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { mean } from '../../node/cli/format.ts'
import { writeTexts } from '../../node/lab/report/index.ts'
import { readIfPresent } from '../../node/store/files.ts'

export interface Case {
  name: string
  /** What was published of it; absent where nothing was. */
  published?: number
  run(seed: number): Promise<number>
}

export interface Claim {
  what: string
  holds: boolean
}

/** What is told of an experiment and of its results alike. */
interface Described {
  /** Names the script and its file of results. */
  name: string
  title: string
  /** Paper or repository, and where in it. */
  source: string
  /** How ours differs from theirs, and what follows from that. */
  differs: string
  /** What the numbers are. */
  unit: string
  /** Behind the point; -2: two that count. */
  digits: number
  /** Values from here on are all the same. */
  ceiling?: number
  seeds: number[]
}

export interface Experiment extends Described {
  /** Whether what was published and ours are taken for the same; `how` says it in words. */
  alike: { how: string; test(published: number, ours: readonly number[]): boolean }
  cases: Case[]
  /** What was published, said of any numbers: `of` gives the mean of a case, ours. */
  claims(of: (name: string) => number): Claim[]
}

export interface Row {
  name: string
  published?: number
  /** One for each seed, in their order; null: it diverged. */
  ours: (number | null)[]
  verdict: string
}

export interface Results extends Described {
  version: 1
  alike: string
  command: string
  rows: Row[]
  claims: Claim[]
  /** Of this machine's processor time, for all of it. */
  cpuSeconds: number
}

export const FOLDER = fileURLToPath(new URL('results/', import.meta.url))

export async function readResults(name: string): Promise<Results | undefined> {
  const bytes = await readIfPresent(`${FOLDER}${name}.json`)
  return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as Results)
}

/** JSON has no infinity. */
const kept = (value: number): number | null => (Number.isFinite(value) ? value : null)
export const valuesOf = ({ ours }: Pick<Row, 'ours'>): number[] => ours.map((value) => value ?? Number.POSITIVE_INFINITY)

/** Runs what the file of results does not hold yet, or all with --again; --only TEXT: the cases with it in their names. */
export async function conduct(experiment: Experiment): Promise<Results> {
  const { values } = parseArgs({ options: { again: { type: 'boolean', default: false }, only: { type: 'string', default: '' } } })
  const before = values.again ? undefined : await readResults(experiment.name)
  let spent = before?.cpuSeconds ?? 0
  const ours = new Map(experiment.cases.map(({ name }) => [name, knownOf(before, name, experiment.seeds)]))
  // All cases with the first seed, then with the next: a run that is stopped leaves a whole table.
  for (const [at, seed] of experiment.seeds.entries()) {
    for (const { name, run } of experiment.cases) {
      const done = ours.get(name)!
      if (!name.includes(values.only) || done.length !== at) continue
      const began = process.cpuUsage()
      const value = await run(seed)
      done.push(kept(value))
      const { user, system } = process.cpuUsage(began)
      spent += (user + system) / 1e6
      console.log(`${experiment.name}: ${name}, seed ${seed}: ${Number.isFinite(value) ? value.toPrecision(4) : 'diverged'}`)
      await write(judge(experiment, ours, spent))
    }
  }
  const results = judge(experiment, ours, spent)
  await write(results)
  console.log(`\n${tableOf(results)}\n\n${claimsOf(results)}`)
  return results
}

/** What is known of a case, for the first of the seeds as far as it goes. */
export function knownOf(before: Results | undefined, name: string, seeds: readonly number[]): (number | null)[] {
  const known = before?.rows.find((row) => row.name === name)?.ours ?? []
  const most = seeds.findIndex((seed, at) => before?.seeds[at] !== seed || at >= known.length)
  return known.slice(0, most < 0 ? seeds.length : most)
}

export function judge(experiment: Experiment, ours: ReadonlyMap<string, (number | null)[]>, cpuSeconds: number): Results {
  const { name, title, source, differs, unit, digits, ceiling, seeds, alike, cases } = experiment
  const rows = cases.map(({ name, published }): Row => {
    const row = { name, ...(published !== undefined && { published }), ours: ours.get(name) ?? [] }
    return { ...row, verdict: verdictOf(row, experiment) }
  })
  const complete = rows.every((row) => row.ours.length === seeds.length)
  const of = (name: string): number => {
    const row = rows.find((row) => row.name === name)
    if (row === undefined) throw new Error(`${experiment.name} has no case ${name}.`)
    return mean(valuesOf(row))
  }
  return {
    version: 1,
    ...{ name, title, source, differs, unit, digits, ...(ceiling !== undefined && { ceiling }), alike: alike.how, seeds, rows },
    command: `node scripts/evidence/${name}.ts`,
    claims: complete ? experiment.claims(of) : [],
    cpuSeconds: Math.round(cpuSeconds),
  }
}

function verdictOf({ published, ours }: Omit<Row, 'verdict'>, { alike, digits }: Experiment): string {
  if (published === undefined || ours.length === 0) return ''
  const values = valuesOf({ ours })
  if (alike.test(published, values)) return 'same'
  const difference = mean(values) - published
  if (!Number.isFinite(difference)) return 'diverges'
  const side = difference > 0 ? 'above' : 'below'
  // Of values that span decades a difference says nothing.
  return digits < 0 ? side : `${side} by ${Math.abs(difference).toFixed(digits)}`
}

async function write(results: Results): Promise<void> {
  await writeTexts(FOLDER, { [`${results.name}.json`]: `${JSON.stringify(results, undefined, 2)}\n` })
}

/** As Markdown: published, ours, spread, verdict. */
export function tableOf({ rows, unit, digits, ceiling = Number.POSITIVE_INFINITY }: Results): string {
  const text = (value: number) => {
    if (value >= ceiling) return ceiling < Number.POSITIVE_INFINITY ? `over ${ceiling}` : 'diverges'
    return digits >= 0 ? value.toFixed(digits) : value.toPrecision(-digits)
  }
  const lines = rows.map((row) => {
    const values = valuesOf(row)
    const [least, most] = [Math.min(...values), Math.max(...values)].map(text)
    const spread = values.length < 2 || least === most ? '' : `${least} to ${most}`
    const published = row.published === undefined ? '' : text(row.published)
    if (values.length === 0) return `| ${row.name} | ${published} | *not run yet* | | |`
    return `| ${row.name} | ${published} | ${text(mean(values))} | ${spread} | ${row.verdict} |`
  })
  return [`| ${unit} | published | ours | spread | verdict |`, '|---|---|---|---|---|', ...lines].join('\n')
}

export const claimsOf = ({ claims }: Pick<Results, 'claims'>): string =>
  claims.map(({ what, holds }) => `- ${holds ? 'Holds' : '**Does not hold**'}: ${what}`).join('\n')
