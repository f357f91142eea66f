// The network in containers, from compose.yaml as it stands: builds the image, runs a founder and three peers on a bridge network,
// kills one peer, and sees the rest reach the target.
import { spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { findEngine } from './engine.mjs'

const PEERS = 3
const BUILD_MILLIS = 15 * 60_000
const RUN_MILLIS = 6 * 60_000
/** Progress after which one peer is killed. */
const KILL_AFTER = /Round 2: validation loss .* accuracy/
const FINISHED = /Finished at round \d+: .*/

const found = findEngine()
if (found === undefined) {
  console.error('No container engine runs here.')
  process.exit(1)
}
const { engine, compose } = found
const project = `murmur-test-${process.pid}`
const inCompose = (...args) => [compose[0], [...compose.slice(1), '-p', project, ...args]]

// podman-compose scales by the file alone, which reads this.
process.env.PEERS = String(PEERS)

function run(command, args, timeout) {
  console.log(`$ ${command} ${args.join(' ')}`)
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], timeout })
  if (error || status !== 0) throw new Error(`${command} ${args[0]} failed: ${error?.message ?? `code ${status}`}`)
}

const capture = (command, args) => spawnSync(command, args, { encoding: 'utf8' }).stdout.trim()

/** Follows a container's log until a line matches; prints what it says meanwhile. */
function waitForLine(container, pattern, deadline) {
  return new Promise((done, failed) => {
    const child = spawn(engine, ['logs', '-f', container], { stdio: ['ignore', 'pipe', 'inherit'] })
    const timer = setTimeout(
      () => end(failed, new Error(`${container}: no line like ${pattern} in time`)),
      Math.max(0, deadline - Date.now()),
    )
    const end = (settle, value) => {
      clearTimeout(timer)
      child.kill()
      settle(value)
    }
    createInterface({ input: child.stdout }).on('line', (line) => {
      console.log(`  ${container}: ${line}`)
      if (pattern.test(line)) end(done, line)
    })
    child.once('exit', () => end(failed, new Error(`${container} ended before a line like ${pattern}`)))
  })
}

try {
  run(engine, ['build', ...(engine === 'podman' ? ['--network', 'host'] : []), '-t', 'murmuration', '.'], BUILD_MILLIS)
  const scale = engine === 'docker' ? ['--scale', `peer=${PEERS}`] : []
  const [command, args] = inCompose('up', '-d', ...scale)
  run(command, args, 120_000)
  const names = capture(engine, ['ps', '--filter', `name=${project}`, '--format', '{{.Names}}'])
    .split('\n')
    .filter(Boolean)
  console.log(`Running: ${names.join(', ')}`)
  if (names.length !== PEERS + 1) throw new Error(`expected ${PEERS + 1} containers`)
  const founder = names.find((name) => name.includes('founder'))
  const victim = names.findLast((name) => !name.includes('founder'))
  const deadline = Date.now() + RUN_MILLIS
  await waitForLine(founder, KILL_AFTER, deadline)
  run(engine, ['kill', victim], 30_000)
  const finished = await Promise.all(names.filter((name) => name !== victim).map((name) => waitForLine(name, FINISHED, deadline)))
  if (!finished.every((line) => line.includes('target accuracy'))) throw new Error('not every remaining peer reached the target')
  console.log(`The ${finished.length} remaining containers reached the target after ${victim} was killed.`)
} catch (error) {
  console.error(`Container test failed: ${error.message}`)
  process.exitCode = 1
} finally {
  const [command, args] = inCompose('down', '-v')
  spawnSync(command, args, { stdio: 'ignore', timeout: 120_000 })
}
