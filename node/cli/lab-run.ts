// `murmur lab run`: a network of virtual peers, told round by round.
import { resolve } from 'node:path'
import { isMurmurError } from '../../protocol/errors.ts'
import { csv } from '../lab/report/csv.ts'
import { writeReport, writeTexts } from '../lab/report/index.ts'
import { parseLabOptions, runLab } from '../lab/run/index.ts'
import type { LabOptions, LabResult, RoundRecord } from '../lab/run/types.ts'
import { makeDirectory } from '../peer/directory.ts'
import { megabytes, percent, seconds } from './format.ts'
import { createHeartbeat } from './heartbeat.ts'
import { INTERRUPTED, interruptible } from './interruptible.ts'

interface Given extends Record<string, unknown> {
  out?: string
  json?: boolean
}

export async function runCommand({ out, json = false, ...given }: Given): Promise<void> {
  const options = parseLabOptions(given)
  // Said before the run, not after it.
  const dir = out === undefined ? undefined : await makeDirectory(out)
  const say = (text: string) => {
    process.stdout.write(`${text}\n`)
    heartbeat.said()
  }
  const tell = json ? (text: string) => void process.stderr.write(`${text}\n`) : say
  const heartbeat = createHeartbeat(tell)
  const { signal, done } = interruptible()
  const rounds: RoundRecord[] = []
  let writing: Promise<unknown> = Promise.resolve()
  if (!json) say(describe(options))
  try {
    const result = await runLab(options, {
      signal,
      onProgress(text) {
        tell(text)
        heartbeat.doing('at it')
      },
      onRound(record) {
        rounds.push(record)
        say(json ? JSON.stringify({ type: 'round', ...record }) : line(record, options))
        heartbeat.doing(`in round ${record.round + 1}`)
        // Whatever ends the run: the rounds until then are there.
        if (dir !== undefined) writing = writing.then(() => writeTexts(dir, { 'rounds.csv': csv(rounds) }))
        writing.catch(() => {})
      },
      onWarning: (text) => tell(`Warning: ${text}`),
    })
    await writing
    const files = dir === undefined ? [] : await writeReport(dir, result)
    if (json) say(JSON.stringify({ type: 'result', ...result, files }))
    else for (const text of [...summary(result), ...files.map((file) => `Written: ${resolve(file)}`)]) say(text)
  } catch (error) {
    if (!signal.aborted || !isMurmurError(error, 'cancelled')) throw error
    tell(`Stopped after ${rounds.length} rounds.`)
    process.exitCode = INTERRUPTED
  } finally {
    await writing.catch(() => {})
    heartbeat.end()
    done()
  }
}

function describe({
  peers,
  byzantine,
  attack,
  rule,
  topology,
  partition,
  model,
  data,
  rounds,
  steps,
  batchSize,
  seed,
}: LabOptions): string {
  const who = attack === undefined ? `${peers} honest peers` : `${peers} peers, ${byzantine} of which attack (${attack})`
  return `${who}; rule ${rule}; topology ${topology}; ${data} cut ${partition}; ${model}; ${rounds} rounds of ${steps} x ${batchSize}; seed ${seed}`
}

function line(record: RoundRecord, { rounds, attack }: LabOptions): string {
  const { round, accuracy, loss, disagreement, inputs, aggregated, attackersWeight, success, realMillis } = record
  return [
    `Round ${round} of ${rounds}: accuracy ${percent(accuracy.mean)} (${percent(accuracy.worst)} to ${percent(accuracy.best)})`,
    `loss ${loss.mean.toFixed(3)}`,
    `apart ${disagreement.toPrecision(2)}`,
    `${aggregated} aggregated ${inputs.toFixed(1)} models`,
    ...(attack === undefined ? [] : [`attackers' weight ${percent(attackersWeight)}`]),
    ...(success === undefined ? [] : [`backdoor ${percent(success)}`]),
    seconds(realMillis / 1000),
  ].join(', ')
}

function summary({ final }: LabResult): string[] {
  const { accuracy, meanModelAccuracy, success, seconds: took, peakBytes } = final
  return [
    `Accuracy: ${percent(accuracy.mean)} (${percent(accuracy.worst)} to ${percent(accuracy.best)}); of the mean of the honest models ${percent(meanModelAccuracy)}${success === undefined ? '' : `; backdoor ${percent(success)}`}.`,
    `Took ${seconds(took)} and at most ${megabytes(peakBytes)}.`,
  ]
}
