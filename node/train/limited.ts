// Runs what a stranger's model asks for in a process of its own, under limits of time and memory: a graph that takes too much,
// or makes onnxruntime crash, ends that process and nothing else.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { MurmurError } from '../../protocol/errors.ts'
import { sibling } from '../sibling.ts'
import { type Failure, reviveError } from '../worker-rpc.ts'
import type { Job, JobResult, Outcome } from './trial.ts'

/** Milliseconds that compiling and a first step may take: a model slower than that is of no use in a round. */
const TRIAL_MILLIS = 120_000
/** And hundreds of steps to compare gradients, for one who asked for it. */
const CHECK_MILLIS = 30 * 60_000
/** Bytes that they may take beyond a multiple of the parameters. */
const TRIAL_BYTES = 4 * 1024 ** 3
/** Copies of the parameters that a step holds at once: the vector, gradients, Adam's moments, and what moves between them. */
const PARAMETER_COPIES = 16
/** Milliseconds between two calls of onWait. */
const WAIT_MILLIS = 4000
/** Characters of a dead process's last words that are repeated. */
const LAST_WORDS = 300

export interface TrialOptions {
  /** Limits of time and memory. */
  millis?: number
  bytes?: number
  signal?: AbortSignal
  /** Called every few seconds, with the seconds so far. */
  onWait?: (seconds: number) => void
}

/**
 * The limit of memory is the system's own (`ulimit -d`), which Linux keeps; elsewhere only time is limited.
 * @throws limit-exceeded, and what the job throws
 */
export function runLimited<J extends Job>(job: J, options: TrialOptions = {}): Promise<JobResult<J>> {
  const {
    millis = job.kind === 'check' ? CHECK_MILLIS : TRIAL_MILLIS,
    bytes = TRIAL_BYTES + job.parameters * 4 * PARAMETER_COPIES,
    signal,
    onWait,
  } = options
  const entry = sibling('./trial', import.meta.url)
  const kilobytes = Math.ceil(bytes / 1024)
  const child = spawn('/bin/sh', ['-c', `ulimit -d ${kilobytes} 2>/dev/null; exec "$@"`, 'sh', process.execPath, fileURLToPath(entry)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  const asked = `${(bytes / 1e9).toFixed(1)} GB of memory and ${millis / 1000} s`
  const began = performance.now()
  const tell = setInterval(() => onWait?.(Math.round((performance.now() - began) / 1000)), WAIT_MILLIS)
  const { promise, resolve, reject } = Promise.withResolvers<JobResult<J>>()
  const closed = Promise.withResolvers<void>()
  const late = setTimeout(() => {
    const what = job.kind === 'check' ? 'check' : 'first step'
    reject(
      new MurmurError('limit-exceeded', `The model's ${what} was not done within ${millis / 1000} s; it is too large for this machine.`),
    )
  }, millis)
  const abort = () => reject(new MurmurError('cancelled', 'Trying the model was stopped on request.'))
  signal?.addEventListener('abort', abort)
  if (signal?.aborted) abort()
  let words = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-LAST_WORDS)
  })
  child.once('error', (cause) => {
    closed.resolve()
    reject(new MurmurError('worker-failed', `The process to try the model in did not start: ${cause.message}`, { cause }))
  })
  child.once('message', (outcome: Outcome) =>
    'error' in outcome ? reject(refusal(outcome.error)) : resolve(outcome.value as JobResult<J>),
  )
  child.once('close', (code, ended) => {
    closed.resolve()
    const last = words.trim().split('\n').at(-1) ?? ''
    const how = `${ended ?? `exit code ${code}`}${last === '' ? '' : `: ${last}`}`
    reject(new MurmurError('limit-exceeded', `The model ended the process that tried it (${how}); it may take ${asked}.`))
  })
  child.send(job, (error) => {
    if (error !== null) reject(new MurmurError('worker-failed', `The process to try the model in cannot be reached: ${error.message}`))
  })
  return promise.finally(async () => {
    clearInterval(tell)
    clearTimeout(late)
    signal?.removeEventListener('abort', abort)
    child.kill('SIGKILL')
    await closed.promise
  })
}

/** What onnxruntime says when a step fails is long; its end names the cause. */
function refusal(failure: Failure): MurmurError {
  if (failure.code !== undefined) return reviveError(failure)
  const isMemory = /allocate memory|bad_alloc|buffer size/i.test(failure.message)
  const why = failure.message.trim().slice(-LAST_WORDS)
  return new MurmurError(isMemory ? 'limit-exceeded' : 'model-invalid', `The model's first step failed: ${why}`)
}
