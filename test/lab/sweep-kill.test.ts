// A sweep that is killed loses nothing that had ended, leaves no process behind, and goes on where it was.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { createPool, readGrid, sweep } from '../../node/lab/sweep/index.ts'
import { temporaryFolder } from '../helpers/processes.ts'
import type { Wishes } from './fake-lab.ts'

const grid = `
name: kill
grid: { rule: [mean, trimmed-mean, median], attack: [none, sign-flip, alie], byzantine: 1 }
`
const script = fileURLToPath(new URL('./fixtures/sweep-process.ts', import.meta.url))
const engine = new URL('./fake-lab.ts', import.meta.url)
/** Milliseconds between two looks at whether processes are gone, and how often. */
const [LOOK, LOOKS] = [50, 400]

function started(t: Test, dir: string, wishes: Omit<Wishes, 'FAKE_LAB_LOG'>) {
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: '', FAKE_LAB_LOG: join(dir, 'log'), ...wishes }
  const child = spawn(process.execPath, [script, join(dir, 'grid.yaml'), join(dir, 'out')], { stdio: ['ignore', 'pipe', 'inherit'], env })
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'close')
    }
  })
  return child
}

const ran = (dir: string) =>
  readFileSync(join(dir, 'log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ') as [cell: string, pid: string])

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

t.test('after kill -9 the next run does what is left, and nothing twice', async (t) => {
  const dir = temporaryFolder(t, { 'grid.yaml': grid })
  const first = started(t, dir, { FAKE_LAB_HANGS: 'median' })
  const done = new Map<string, string>()
  for await (const line of createInterface({ input: first.stdout })) {
    const { id, rule, attack, state } = JSON.parse(line) as Record<'id' | 'rule' | 'attack' | 'state', string>
    t.same([rule !== 'median', state], [true, 'done'])
    done.set(`${rule}/${attack}`, id)
    if (done.size === 6) break
  }
  first.kill('SIGKILL')
  await once(first, 'close')
  const pids = [...new Set(ran(dir).map(([, pid]) => Number(pid)))]
  t.equal(pids.length, 2, 'two processes ran all cells')
  for (let i = 0; i < LOOKS && pids.some(isAlive); i++) await delay(LOOK)
  t.notOk(pids.some(isAlive), 'they end with whoever started them')

  const kept = (folder = join(dir, 'out', 'cells')) =>
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const)
  const before = new Map(kept())
  t.same([...before.keys()].sort(), [...done.values()].map((id) => `${id}.json`).sort(), 'each cell that had ended is there')
  const second = started(t, dir, {})
  const [code] = (await once(second, 'close')) as [number]
  t.equal(code, 0)
  const again = ran(dir)
    .map(([cell]) => cell)
    .filter((cell) => done.has(cell))
  t.equal(again.length, done.size, 'none of those ran again')
  const after = new Map(kept())
  t.equal(after.size, 9)
  for (const [name, text] of before) t.equal(after.get(name), text)
})

t.test('a process that dies fails its cell alone, and the cell is tried again by the next run', async (t) => {
  const dir = temporaryFolder(t, { 'grid.yaml': grid })
  const plan = await readGrid(join(dir, 'grid.yaml'))
  const run = async (wishes: Omit<Wishes, 'FAKE_LAB_LOG'>) => {
    Object.assign(process.env, { FAKE_LAB_LOG: join(dir, 'log'), ...wishes })
    const pool = createPool(engine, 1)
    try {
      return await sweep(plan, { dir: join(dir, 'out'), jobs: 2, run: pool.run, signal: new AbortController().signal })
    } finally {
      await pool.end()
      for (const name of Object.keys(wishes)) delete process.env[name]
    }
  }
  const states = (outcomes: Awaited<ReturnType<typeof sweep>>) => plan.cells.map(({ id }) => outcomes.get(id)!.state)
  const first = await run({ FAKE_LAB_DIES: 'trimmed-mean' })
  t.same(states(first), ['done', 'done', 'done', 'failed', 'failed', 'failed', 'done', 'done', 'done'])
  t.match(first.get(plan.cells[3]!.id), { why: /^The cell's process ended \(SIGKILL\)\.$/ })
  t.same(states(await run({})), Array(9).fill('done'))
  t.equal(ran(dir).length, 12)
})
