// A stand-in for the lab that is done at once: what comes out follows from the options. As an engine of a sweep's processes it writes down
// each call, waits for ever or dies where the environment says so.
import { appendFileSync } from 'node:fs'
import type { LabHooks, LabOptions, LabResult, RoundRecord } from '../../node/lab/run/types.ts'
import { MurmurError } from '../../protocol/errors.ts'

const RULES = ['mean', 'median', 'krum', 'trimmed-mean', 'nnm | trimmed-mean']
const ATTACKS = ['none', 'sign-flip', 'alie']

/** Each rule and each attack takes its share. */
export const accuracyOf = ({ rule, attack = 'none', seed }: LabOptions): number =>
  0.9 - 0.1 * RULES.indexOf(rule) - 0.03 * ATTACKS.indexOf(attack) + 0.002 * seed

export function resultOf(options: LabOptions): LabResult {
  const mean = accuracyOf(options)
  const accuracy = { mean, worst: mean - 0.05, best: mean + 0.05, spread: 0.01 }
  const loss = { mean: 1 - mean, worst: 1 }
  const rounds = Array.from({ length: options.rounds }, (_, i): RoundRecord => {
    const counts = {
      disagreement: 0.5 / (i + 1),
      inputs: options.peers,
      aggregated: options.peers,
      attackersWeight: 0.1,
      bytesReceived: 1000,
    }
    return { round: i + 1, accuracy, loss, ...counts, virtualMillis: 10, realMillis: 1 }
  })
  const final = { accuracy, loss, meanModelAccuracy: mean, seconds: 1, peakBytes: 1e6 }
  return { version: 1, options, rounds, final, warnings: [] }
}

/** What `process.env` holds for it. */
export interface Wishes {
  /** Lines "RULE/ATTACK PROCESS" are added to this file. */
  FAKE_LAB_LOG: string
  /** A rule whose cells never end. */
  FAKE_LAB_HANGS?: string
  /** A rule whose cells kill their process. */
  FAKE_LAB_DIES?: string
  /** A rule whose cells fail. */
  FAKE_LAB_FAILS?: string
  /** A rule that needs more peers. */
  FAKE_LAB_REFUSES?: string
}

export async function runLab(options: LabOptions, { onRound }: LabHooks): Promise<LabResult> {
  const { FAKE_LAB_LOG, FAKE_LAB_HANGS, FAKE_LAB_DIES, FAKE_LAB_FAILS, FAKE_LAB_REFUSES } = process.env as unknown as Wishes
  appendFileSync(FAKE_LAB_LOG, `${options.rule}/${options.attack ?? 'none'} ${process.pid}\n`)
  const result = resultOf(options)
  for (const record of result.rounds) onRound?.(record)
  if (options.rule === FAKE_LAB_HANGS) await new Promise(() => {})
  if (options.rule === FAKE_LAB_DIES) process.kill(process.pid, 'SIGKILL')
  if (options.rule === FAKE_LAB_FAILS) throw new MurmurError('training-diverged', 'The loss is NaN.')
  if (options.rule === FAKE_LAB_REFUSES) throw new MurmurError('too-few-inputs', 'It needs 7 models.')
  return result
}
