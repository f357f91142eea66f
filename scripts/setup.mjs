// Set-up for `npm start` and `npm test`: installs what package-lock.json names and returns at once when nothing changed.
// Plain JavaScript for Node >= 18; everything it says goes to stderr, so that stdout stays the command's own.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.murmur-setup')
const nodeBin = join(root, 'node_modules', '.bin', 'node')

const say = (text) => process.stderr.write(`${text}\n`)

function fail(text) {
  say(`\nSet-up failed: ${text}`)
  process.exit(1)
}

/** Changes where the dependencies, the platform or this script do. */
function wanted() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`)
  for (const file of ['package.json', 'package-lock.json', '.taprc', 'scripts/setup.mjs']) hash.update(readFileSync(join(root, file)))
  return hash.digest('hex')
}

/** Runs a command and says every few seconds that it still does: an install can be quiet for a minute. */
async function run(what, command, args, env = {}) {
  say(what)
  const began = Date.now()
  const ticker = setInterval(() => say(`  still at it, ${Math.round((Date.now() - began) / 1000)} s`), 4500)
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } })
  const ending = await new Promise((done) => {
    child.once('error', (error) => done(error.message))
    child.once('exit', (code, signal) => done(code === 0 ? undefined : (signal ?? `code ${code}`)))
  })
  clearInterval(ticker)
  if (ending !== undefined) fail(`\`${command} ${args.join(' ')}\` ended with ${ending}; see the lines above.`)
}

const [major] = process.versions.node.split('.').map(Number)
if (major < 18) fail(`Node 18 or newer is needed to begin, and this is ${process.version}.`)

const want = wanted()
if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want) process.exit(0)

const started = Date.now()
// onnxruntime-node carries its CPU binaries; its script would only fetch CUDA ones.
await run('Installing dependencies (about a minute the first time) ...', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
  ONNXRUNTIME_NODE_INSTALL: 'skip',
})
const version = spawnSync(nodeBin, ['--version'], { encoding: 'utf8' }).stdout ?? ''
if (!/^v(2[4-9]|[3-9]\d)\./.test(version)) {
  fail(
    `the project's own Node (dev dependency "node") did not install: got "${version.trim() || 'nothing'}". Run \`npm ci\` and read its output.`,
  )
}
if (existsSync(join(root, 'node_modules', 'tap'))) {
  await run('Preparing the test runner ...', 'npx', ['--no', 'tap', 'build'], { PATH: `${dirname(nodeBin)}:${process.env.PATH}` })
}
writeFileSync(stamp, want)
say(`Set up in ${Math.round((Date.now() - started) / 1000)} s.`)
