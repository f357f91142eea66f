// What training does to the process around it: the event loop's delay, memory, a second worker, and being cancelled.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { median, nodeContestant, race } from './contestant.ts'
import { trainerOf } from './trainer-of.ts'

export interface Check {
  name: string
  /** What was measured, for people. */
  what: string
  value: number
  goal: { least: number } | { most: number }
}

/** Rounds of a comparison that takes wall time. */
const ROUNDS = 7
const ROUND_MILLIS = 1000

const STEPS = 10_000
/** Steps after which a process has all the memory it will need: sessions, compiled code, V8's heap at its size. */
const SETTLING_STEPS = 2000
/** Megabytes by which the heap's collections alone let a process swing. */
const SWING = 16

const CYCLES = 100
/** Cycles at once, so that each is late at another place. */
const AT_ONCE = 2
/** Milliseconds of training, at most, before it is cancelled: two runs long. */
const CANCEL_WITHIN = 200
/** Milliseconds after which a child that was cancelled counts as hung. */
const HUNG = 20_000

export async function loopAgainstSingle(seconds: number): Promise<Check> {
  const [loop, single] = [nodeContestant('./steps.ts', 'loop'), nodeContestant('./steps.ts', 'single')]
  await Promise.all([loop.open('mlp', 32), single.open('mlp', 32)])
  const [fast = 0, slow = 0] = await race([loop, single], { seconds, slices: ROUNDS })
  for (const each of [loop, single]) each.close()
  return {
    name: 'loop',
    what: `mlp/32: ${fast.toFixed(3)} ms a step in a Loop, ${slow.toFixed(3)} ms a run a step`,
    value: slow / fast,
    goal: { least: 1.7 },
  }
}

/** Steps a second of two workers over those of one, in turns; and the main thread's delay meanwhile. */
export async function twoWorkers(): Promise<Check[]> {
  const { trainer, request } = await trainerOf('cnn', 32, 2)
  const train = async (workers: number) => {
    const calls = Array.from({ length: workers }, () => trainer.train({ ...request, steps: Number.MAX_SAFE_INTEGER, millis: ROUND_MILLIS }))
    return (await Promise.all(calls)).reduce((sum, { steps, millis }) => sum + steps / millis, 0)
  }
  await train(2)
  const ratios: number[] = []
  // One monitor throughout: reset() would lose the interval that follows it.
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (let round = 0; round < ROUNDS; round++) {
    const one = await train(1)
    ratios.push((await train(2)) / one)
  }
  delay.disable()
  await trainer.stop()
  const p99 = delay.percentile(99) / 1e6
  return [
    { name: 'workers', what: 'cnn/32: steps a second of two workers over those of one', value: median(ratios), goal: { least: 1.8 } },
    {
      name: 'delay',
      what: `main thread while two workers train: p99 delay in ms (most ${(delay.max / 1e6).toFixed(1)})`,
      value: p99,
      goal: { most: 20 },
    },
  ]
}

export async function memory(): Promise<Check> {
  const ours = nodeContestant('./ours.ts')
  await ours.open('mlp', 32)
  const start = (await ours.run(SETTLING_STEPS)).megabytes
  const { megabytes } = await ours.run(STEPS)
  ours.close()
  const what = `mlp/32: resident memory ${start.toFixed(0)} MB, after ${STEPS} steps ${megabytes.toFixed(0)} MB; growth in MB`
  return { name: 'memory', what, value: megabytes - start, goal: { most: SWING } }
}

/** Processes that are cancelled amid training, half of them by an AbortSignal and half by SIGINT, and must then end by themselves. */
export async function cancelling(): Promise<Check> {
  const file = fileURLToPath(new URL('./cancelled.ts', import.meta.url))
  // Else compiling the sources is half of a cycle.
  const env = { NODE_COMPILE_CACHE: join(tmpdir(), 'murmur-bench'), ...process.env }
  const failures: string[] = []
  let started = 0
  async function cycle(number: number): Promise<void> {
    const wait = Math.random() * CANCEL_WITHIN
    const how = number % 2 === 0 ? 'signal' : 'abort'
    const child = spawn(process.execPath, [file, how, String(wait)], { env, stdio: ['ignore', 'pipe', 'ignore'] })
    const ended = once(child, 'exit') as Promise<[number | null, string | null]>
    const hung = setTimeout(() => child.kill('SIGKILL'), HUNG)
    child.stdout.once('data', () => how === 'signal' && setTimeout(() => child.kill('SIGINT'), wait))
    const [code, signal] = await ended
    clearTimeout(hung)
    if (code !== 0) failures.push(`${how} after ${wait.toFixed(0)} ms: ${signal ?? `code ${code}`}`)
  }
  const lane = async () => {
    while (started < CYCLES) await cycle(started++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  const what = `aborts in ${CYCLES} cancel and exit cycles${failures.length === 0 ? '' : ` (${failures.slice(0, 3).join('; ')})`}`
  return { name: 'cancel', what, value: failures.length, goal: { most: 0 } }
}
