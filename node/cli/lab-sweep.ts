// `murmur lab sweep`: runs a grid of the lab's options in processes of their own, goes on where it stopped, and writes the table.
import { availableParallelism } from 'node:os'
import { isAbsolute, join, relative } from 'node:path'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { writeTexts } from '../lab/report/index.ts'
import {
  type Cell,
  createPool,
  type Outcome,
  type Plan,
  type Progress,
  readGrid,
  sweep,
  tableOf,
  tableTexts,
  VALUES,
  valueAt,
} from '../lab/sweep/index.ts'
import { sibling } from '../sibling.ts'
import { duration, percent } from './format.ts'
import { createHeartbeat } from './heartbeat.ts'
import { INTERRUPTED, interruptible } from './interruptible.ts'

interface Given {
  out?: string
  jobs?: number
  json?: boolean
}

export async function sweepCommand(file: string, { out, jobs = availableParallelism(), json = false }: Given): Promise<void> {
  const plan = await readGrid(file)
  const dir = out ?? join('murmur-lab', plan.name)
  const say = (event: object, text: string) => {
    process.stdout.write(`${json ? JSON.stringify(event) : text}\n`)
    heartbeat.said()
  }
  const heartbeat = createHeartbeat((text) => void (json ? process.stderr : process.stdout).write(`${text}\n`))
  const { signal, done } = interruptible()
  const engine = sibling('../lab/run/index', import.meta.url)
  const pool = createPool(engine, Math.max(1, Math.floor(availableParallelism() / jobs)))
  heartbeat.doing('at the start of the first cells')
  try {
    const outcomes = await sweep(plan, {
      ...{ dir, jobs, run: pool.run, signal },
      onStart: (kept, total) =>
        say(
          { type: 'start', name: plan.name, cells: total, kept, jobs, dir },
          `${plan.name}: ${total} cells, ${kept} of them done before; results are kept in ${dir}`,
        ),
      onCell(cell, outcome, progress) {
        say(cellEvent(plan, cell, outcome, progress), cellLine(plan, cell, outcome, progress))
        heartbeat.doing('running the next cells')
      },
      onRound: (cell, round) => heartbeat.doing(`at round ${round} of ${cell.options.rounds} of ${nameOf(cell)}`),
    })
    const files = await writeTexts(dir, tableTexts(tableOf(plan, outcomes), { plan, command: commandOf(file, out) }))
    const failed = [...outcomes.values()].filter((outcome) => outcome.state === 'failed')
    say({ type: 'end', cells: outcomes.size, failed: failed.length, files }, `Wrote ${files.join(', ')}`)
    if (failed.length > 0) {
      throw new MurmurError(
        'worker-failed',
        `${failed.length} of ${outcomes.size} cells failed; the same command tries them again. The first one: ${failed[0]!.why}`,
      )
    }
  } catch (error) {
    if (!isMurmurError(error, 'cancelled')) throw error
    process.exitCode = INTERRUPTED
    process.stderr.write(`${error.message} The same command goes on from there.\n`)
  } finally {
    heartbeat.end()
    await pool.end()
    done()
  }
}

const nameOf = ({ labels, options }: Cell): string =>
  [...Object.entries(labels).map(([key, value]) => `${key} ${value}`), ...('seed' in labels ? [] : [`seed ${options.seed}`])].join(', ')

function cellEvent({ layout }: Plan, { id, labels, options }: Cell, outcome: Outcome, progress: Progress): object {
  const { state } = outcome
  const found =
    outcome.state === 'done'
      ? { value: valueAt(outcome.result, layout.value), seconds: outcome.result.final.seconds }
      : { why: outcome.why }
  return { type: 'cell', ...progress, id, ...labels, seed: options.seed, state, ...found }
}

function cellLine({ layout }: Plan, cell: Cell, outcome: Outcome, { done, total, secondsLeft }: Progress): string {
  const value = outcome.state === 'done' ? valueAt(outcome.result, layout.value) : 0
  const found = outcome.state !== 'done' ? `${outcome.state}: ${outcome.why}` : VALUES[layout.value].share ? percent(value) : String(value)
  const left = done < total ? `, ${duration(secondsLeft)} left` : ''
  return `${done}/${total}${left}  ${nameOf(cell)}: ${found}`
}

/** As it can be said anywhere: without the paths of this machine. */
function commandOf(file: string, out: string | undefined): string {
  const local = (path: string) => {
    const there = relative('', path)
    return there.startsWith('..') || isAbsolute(there) ? join('DIR', path.split(/[\\/]/).at(-1)!) : there
  }
  return ['npx murmur lab sweep', ...[local(file), ...(out === undefined ? [] : ['--out', local(out)])].map(quoted)].join(' ')
}

const quoted = (text: string): string => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
