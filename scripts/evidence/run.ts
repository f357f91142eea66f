// `npm run evidence`: every experiment that has results missing, two at a time, each a process of its own at low priority; then the
// document. With --again all are run anew.
// Usage: node scripts/evidence/run.ts [--again] [--jobs 2]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { EXPERIMENTS } from './experiments.ts'

const LOW = 10

const { values } = parseArgs({ options: { again: { type: 'boolean', default: false }, jobs: { type: 'string', default: '2' } } })
const waiting = EXPERIMENTS.map(({ name }) => name)
const failed: string[] = []

async function work(): Promise<void> {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if ((await script(name, values.again ? ['--again'] : [])) !== 0) failed.push(name)
  }
}

async function script(name: string, args: string[]): Promise<number> {
  const child = spawn(process.execPath, [fileURLToPath(new URL(`${name}.ts`, import.meta.url)), ...args], { stdio: 'inherit' })
  if (child.pid !== undefined) setPriority(child.pid, LOW)
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, work))
if ((await script('embed', [])) !== 0) failed.push('embed')
if (failed.length > 0) {
  console.error(`Failed: ${failed.join(', ')}. The same command goes on from there.`)
  process.exitCode = 1
}
