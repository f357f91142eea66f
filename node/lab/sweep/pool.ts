// Processes that run cells side by side. Each is fed one cell after the other, which saves starting and loading again; one that dies
// fails its cell alone.
import { type ChildProcess, fork } from 'node:child_process'
import { MurmurError } from '../../../protocol/errors.ts'
import { sibling } from '../../sibling.ts'
import { reviveError } from '../../worker-rpc.ts'
import type { Told } from './child.ts'
import type { RunCell } from './types.ts'

/** Characters of a dead process's last words that are repeated. */
const LAST_WORDS = 300

export interface Pool {
  /** Takes an idle process, or starts one: at most as many run as there are calls at once. */
  run: RunCell
  /** Ends all processes, busy or not, and waits for that. */
  end(): Promise<void>
}

/** @param engine the module with `runLab` @param workers threads of each process */
export function createPool(engine: URL, workers: number): Pool {
  const idle: ChildProcess[] = []
  const all = new Map<ChildProcess, Promise<void>>()

  const start = (): ChildProcess => {
    const child = fork(sibling('./child', import.meta.url), [engine.href, String(workers)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    const { promise, resolve } = Promise.withResolvers<void>()
    const gone = () => {
      all.delete(child)
      if (idle.includes(child)) idle.splice(idle.indexOf(child), 1)
      resolve()
    }
    child.once('close', gone)
    child.once('error', () => child.pid === undefined && gone())
    all.set(child, promise)
    return child
  }

  return {
    run(options, { onRound, signal }) {
      const child = idle.pop() ?? start()
      const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<RunCell>>>()
      let words = ''
      const listen = (text: Buffer) => {
        words = (words + text).slice(-LAST_WORDS)
      }
      const hear = (told: Told) => {
        if ('round' in told) return onRound?.(told.round)
        idle.push(child)
        if ('result' in told) resolve(told.result)
        else reject(reviveError(told.error))
      }
      const died = (code: number | null, ended: string | null) => {
        const last = words.trim().split('\n').at(-1) ?? ''
        reject(
          new MurmurError('worker-failed', `The cell's process ended (${ended ?? `exit code ${code}`})${last === '' ? '.' : `: ${last}`}`),
        )
      }
      const failed = (cause: Error) =>
        reject(new MurmurError('worker-failed', `The cell's process cannot be reached: ${cause.message}`, { cause }))
      // Killed, as nothing is lost: a cell counts once it has ended.
      const abort = () => {
        reject(new MurmurError('cancelled', 'The sweep was stopped on request.'))
        child.kill('SIGKILL')
      }
      child.on('message', hear).once('close', died).once('error', failed)
      child.stderr!.on('data', listen)
      signal?.addEventListener('abort', abort)
      if (signal?.aborted) abort()
      else child.send(options, (error) => error && failed(error))
      return promise.finally(() => {
        child.off('message', hear).off('close', died).off('error', failed)
        child.stderr!.off('data', listen)
        signal?.removeEventListener('abort', abort)
      })
    },
    async end() {
      const ends = [...all.values()]
      for (const child of all.keys()) child.kill('SIGKILL')
      await Promise.all(ends)
    },
  }
}
