// Runs the cells of a grid that have not run yet, several at once, and keeps what became of each on disk.
import { asMurmurError, isMurmurError, MurmurError } from '../../../protocol/errors.ts'
import { makeDirectory } from '../../peer/directory.ts'
import { lockDirectory } from '../../store/lock.ts'
import { openCells } from './store.ts'
import type { Cell, Outcome, Plan, RunCell } from './types.ts'

export interface Progress {
  done: number
  total: number
  /** Until all are done, as far as the cells so far tell. */
  secondsLeft: number
}

export interface SweepOptions {
  dir: string
  /** Cells that run at once. */
  jobs: number
  run: RunCell
  signal: AbortSignal
  /** How many cells an earlier run has left here. */
  onStart?(kept: number, total: number): void
  onCell?(cell: Cell, outcome: Outcome, progress: Progress): void
  onRound?(cell: Cell, round: number): void
}

/**
 * What failed in an earlier run is tried again.
 * @returns what became of each cell, by its id
 * @throws cancelled, directory-locked, disk-failed
 */
export async function sweep(plan: Plan, { dir, jobs, run, signal, onStart, onCell, onRound }: SweepOptions): Promise<Map<string, Outcome>> {
  const unlock = await lockDirectory(await makeDirectory(dir), 'runs a sweep')
  try {
    const store = await openCells(dir)
    const outcomes = new Map<string, Outcome>()
    // Two cells with the same options are one.
    const cells = [...new Map(plan.cells.map((cell) => [cell.id, cell])).values()]
    const waiting: Cell[] = []
    for (const cell of cells) {
      const outcome = await store.read(cell)
      if (outcome === undefined || outcome.state === 'failed') waiting.push(cell)
      else outcomes.set(cell.id, outcome)
    }
    onStart?.(outcomes.size, cells.length)

    const began = performance.now()
    const todo = waiting.length
    let ended = 0
    // A disk that fails ends all.
    const broken = new AbortController()
    const either = AbortSignal.any([signal, broken.signal])
    const lane = async () => {
      for (let cell = waiting.shift(); cell !== undefined && !either.aborted; cell = waiting.shift()) {
        const current = cell
        const outcome = await outcomeOf(run(current.options, { onRound: ({ round }) => onRound?.(current, round), signal: either }))
        if (outcome === undefined) return
        await store.write(current, outcome)
        outcomes.set(current.id, outcome)
        ended++
        const secondsLeft = (((performance.now() - began) / ended) * (todo - ended)) / 1000
        onCell?.(current, outcome, { done: outcomes.size, total: cells.length, secondsLeft })
      }
    }
    const lanes = Array.from({ length: Math.min(jobs, todo) }, () =>
      lane().catch((error: unknown) => {
        broken.abort()
        throw error
      }),
    )
    const bad = (await Promise.allSettled(lanes)).find((settled) => settled.status === 'rejected')
    if (bad !== undefined) throw bad.reason
    if (signal.aborted) throw new MurmurError('cancelled', `The sweep was stopped with ${outcomes.size} of ${cells.length} cells done.`)
    return outcomes
  } finally {
    await unlock()
  }
}

/** Undefined where the run was stopped. */
async function outcomeOf(running: ReturnType<RunCell>): Promise<Outcome | undefined> {
  try {
    return { state: 'done', result: await running }
  } catch (thrown) {
    if (isMurmurError(thrown, 'cancelled')) return undefined
    const { code, message } = asMurmurError(thrown)
    return { state: code === 'too-few-inputs' ? 'refused' : 'failed', why: message }
  }
}
