#!/usr/bin/env node
// The `murmur` command on any Node >= 18: finds the Node that the project was made for and hands over to it.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'

const NEEDED = 24
/** By then all code is loaded. */
const FLUSH_MILLIS = 20_000
const here = new URL('.', import.meta.url)
const source = fileURLToPath(new URL('cli/main.ts', here))
const built = fileURLToPath(new URL('../dist/node/cli/main.js', here))
const entry = existsSync(source) ? source : built

/** A Node new enough: this one, or the one among the dependencies. */
function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= NEEDED) return process.execPath
  const local = fileURLToPath(new URL('../node_modules/.bin/node', here))
  return existsSync(local) ? local : undefined
}

const node = findNode()
try {
  createRequire(import.meta.url).resolve('libp2p')
} catch {
  console.error('Murmuration is not installed here yet: run `npm start` (or `npm ci`) once in its folder.')
  process.exit(1)
}
if (node === undefined) {
  console.error(
    `Murmuration needs Node ${NEEDED} or newer and this is ${process.version}: run \`npm start\` once, which brings its own, or install Node ${NEEDED}.`,
  )
  process.exit(1)
}
if (node === process.execPath) {
  // V8 lets the space for new objects grow to 64 MB as soon as much is going on, and keeps it, and garbage among old ones to several times
  // what lives: 2 MB, and a third of it, are as fast for what a peer does, which is to wait most of the time.
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--heap-growing-percent=30')
  const { enableCompileCache, flushCompileCache } = await import('node:module')
  const { directory } = enableCompileCache()
  // At once: a peer runs for days, and may be killed; and whoever compiles anew holds the compiler for good.
  setTimeout(flushCompileCache, FLUSH_MILLIS).unref()
  // For worker threads and child processes, which would compile everything again.
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory
  await import(entry)
} else {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  // A terminal signals the child as well; a supervisor signals only us.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
}
