// A child process that trains on request, so that CPU time and memory are its own; and races between several of them.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { ModelName } from './cases.ts'

export interface Contestant {
  open(model: ModelName, batch: number): Promise<string>
  /** CPU seconds of the whole process for so many steps, and its resident memory after them. */
  run(steps: number): Promise<{ seconds: number; megabytes: number }>
  close(): void
}

export function startContestant(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Contestant {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  async function ask(request: object) {
    child.stdin.write(`${JSON.stringify(request)}\n`)
    const { value, done } = await lines.next()
    if (done) throw new Error(`${[command, ...args].join(' ')} ended before it answered ${JSON.stringify(request)}.`)
    return JSON.parse(value)
  }
  return {
    open: async (model, batch) => (await ask({ open: model, batch })).is,
    run: (steps) => ask({ steps }),
    close: () => void child.stdin.end(),
  }
}

export const nodeContestant = (file: string, ...args: string[]): Contestant =>
  startContestant(process.execPath, [new URL(file, import.meta.url).pathname, ...args])

export interface RaceOptions {
  /** CPU seconds of a slice; at least one step is made. */
  seconds: number
  slices: number
}

/** A step that takes longer than this, in seconds, is measured in fewer slices: its ratio is large and known soon. */
const SLOW_STEP = 1
const SLOW_SLICES = 3

/** Median CPU milliseconds a step of each contestant, whose slices take turns so that what else the machine does meets all alike. */
export async function race(contestants: readonly Contestant[], { seconds, slices }: RaceOptions): Promise<number[]> {
  const steps: number[] = []
  for (const contestant of contestants) steps.push(await stepsFor(contestant, seconds))
  const millis: number[][] = contestants.map(() => [])
  for (let slice = 0; slice < slices; slice++) {
    for (const [i, contestant] of contestants.entries()) {
      const isSlow = steps[i] === 1 && (millis[i]![0] ?? 0) > 1000 * SLOW_STEP
      if (isSlow && slice >= SLOW_SLICES) continue
      millis[i]!.push((1000 * (await contestant.run(steps[i]!)).seconds) / steps[i]!)
    }
  }
  return millis.map(median)
}

/** The first steps allocate and compile, and say little of the others. */
const WARM_UP_STEPS = 8

/** Steps that take about so many seconds, found by running twice as many until they take half of it: that also warms up. */
async function stepsFor(contestant: Contestant, seconds: number): Promise<number> {
  for (let steps = 1; ; steps *= 2) {
    const took = (await contestant.run(steps)).seconds
    if (steps === 1 && took > SLOW_STEP) return 1
    if (steps >= WARM_UP_STEPS && took >= seconds / 2) return Math.max(1, Math.round((steps * seconds) / took))
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2
}
