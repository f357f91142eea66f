// `murmur start` and `murmur join`: run one peer until it is told to stop.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { layoutSize } from '../../protocol/layout.ts'
import { admissionInWords } from '../../protocol/manifest.ts'
import { promise } from '../../protocol/sampling.ts'
import { hexOf, type Task } from '../../protocol/task.ts'
import type { PeerEvent } from '../events.ts'
import { keepPorts } from '../host/addresses.ts'
import { type LocalOptions, localOptions, parseOptions, pick, taskOptions } from '../options.ts'
import { readConfig, writeConfig } from '../peer/directory.ts'
import { type JoinTarget, parseJoinTarget } from '../peer/join-target.ts'
import type { LaunchOptions, Running } from '../peer/launch.ts'
import { sha256 } from '../sha256.ts'
import { confirmed, isTerminal } from './confirm.ts'
import { interruptible } from './interruptible.ts'
import { createPrinter } from './printer.ts'

type Given = Record<string, unknown> & { json?: boolean; yes?: boolean; dir?: string }

/** Between two looks for the file that MURMUR_JOIN names, and between two lines that say so. */
const LOOK_MILLIS = 250
const SAY_MILLIS = 4000

export async function startCommand(dir: string, given: Given): Promise<void> {
  parseOptions(taskOptions, pick(taskOptions, given))
  await runPeer(dir, given, { found: given })
}

export async function joinCommand(line: string | undefined, given: Given): Promise<void> {
  const target = parseJoinTarget(line ?? (await lineFromEnvironment()), sha256)
  const dir = given.dir ?? `murmur-${target.task?.slice(0, 8) ?? hexOf(sha256(Buffer.from(target.addresses.join()))).slice(0, 8)}`
  await runPeer(dir, given, { join: target })
}

/** MURMUR_JOIN: the line itself, or the path of a file that may still be written. */
async function lineFromEnvironment(): Promise<string> {
  const value = process.env.MURMUR_JOIN
  if (value === undefined || value === '') {
    throw new MurmurError(
      'bad-join-line',
      'No join line is given: paste the one that `murmur start` printed, or set MURMUR_JOIN to it or to a file that holds it.',
    )
  }
  if (value.startsWith('murmur1-') || /^\/(ip4|ip6|dns|dns4|dns6|dnsaddr)\//.test(value)) return value
  let said = -SAY_MILLIS
  // Ctrl-C ends the process here: nothing has been opened yet.
  while (true) {
    const text = existsSync(value) ? (await readFile(value, 'utf8')).trim() : ''
    if (text !== '') return text
    if (performance.now() - said >= SAY_MILLIS) {
      process.stderr.write(`Waiting for the join line in ${value} (from MURMUR_JOIN) ...\n`)
      said = performance.now()
    }
    await new Promise((done) => setTimeout(done, LOOK_MILLIS))
  }
}

/** Settings: flags before murmur.yaml before defaults; a new directory keeps what was given, so that it resumes with no flags. */
async function settings(dir: string, given: Given): Promise<{ local: LocalOptions; kept: Record<string, unknown> }> {
  const config = await readConfig(dir)
  parseOptions(localOptions, config.values, config.file)
  const flags = pick(localOptions, given)
  parseOptions(localOptions, flags)
  const kept = { ...config.values, ...flags }
  return { local: parseOptions(localOptions, kept), kept }
}

async function runPeer(dir: string, given: Given, how: Pick<LaunchOptions, 'found' | 'join'>): Promise<void> {
  const { local, kept } = await settings(dir, given)
  const printer = createPrinter(given.json === true)
  const stopping = interruptible()
  let running: Running | undefined
  try {
    // Loaded late: a mistake in an option is told without waiting for the network's code.
    const { launch } = await import('../peer/launch.ts')
    running = await launch({
      dir,
      local,
      ...how,
      onEvent: printer.event,
      onProgress: printer.progress,
      confirm: async (task) => confirmJoin(task, given, printer.progress),
      signal: stopping.signal,
    })
    await keepSettings(kept, running, how.join)
    const { peer } = running
    const end = stopping.promise.then(() => 'interrupted' as const)
    const finished = peer.finished.then(() => 'finished' as const)
    const ending = await Promise.race([end, finished])
    if (ending === 'finished' && !local.exitWhenFinished) {
      printer.progress('Finished; still serving others. Ctrl-C to leave.')
      await end
    }
  } catch (error) {
    if (stopping.signal.aborted && !isMurmurError(error, 'internal')) return
    throw error
  } finally {
    if (running !== undefined) {
      const { round } = running.peer.status()
      await running.stop()
      printer.event({ type: 'stopped', round, resume: `npx murmur start ${dir}` } satisfies PeerEvent)
    }
    stopping.done()
  }
}

/** What a restart needs: the flags given, where to find the others, and the port, so that addresses that others know stay true. */
async function keepSettings(kept: Record<string, unknown>, running: Running, target: JoinTarget | undefined): Promise<void> {
  const { joinFile: _, misbehave: __, probe: ___, twinCheck: ____, ...values } = kept
  const listen = [values.listen ?? ['/ip4/0.0.0.0/tcp/0']].flat().join(',').split(',')
  values.listen = keepPorts(listen, running.addresses).join(',')
  const known = [values.bootstrap ?? [], target?.addresses ?? []].flat()
  if (known.length > 0) values.bootstrap = [...new Set(known)]
  if (typeof values.data === 'string' && existsSync(values.data)) values.data = resolve(values.data)
  await writeConfig(running.dir, values)
}

/** Says what will run and what leaves this machine, and asks where a person is there to answer. */
async function confirmJoin(task: Task, given: Given, say: (text: string) => void): Promise<boolean> {
  const { manifest, layout } = task
  say(
    `Network "${manifest.name}" (${task.hex.slice(0, 16)}…), founded by …${task.founder.slice(-8)}${manifest.testTask ? ', a test network where peers may misbehave' : ''}.`,
  )
  say(
    `  It runs here: ${manifest.model.name}, ${layoutSize(layout).toLocaleString('en')} parameters, up to ${manifest.work.steps} steps of ${manifest.work.batchSize} samples a round, ${manifest.stop.rounds ?? 'unlimited'} rounds.`,
  )
  say(`  It averages with: ${manifest.rule}. ${promise(manifest.pace.minPeers, manifest.byzantineShare).sentence}`)
  say(
    '  It sends to every member: your model after local training' +
      (manifest.stop.targetAccuracy === undefined ? '' : ' and its validation accuracy') +
      '. Your data stays here.',
  )
  say(`  ${admissionInWords(manifest)}`)
  return given.yes === true || !isTerminal() || (await confirmed('Take part? [Y/n] ', true))
}
