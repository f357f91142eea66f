// Promise calls to a worker thread over its message port.
// A worker is ended cooperatively, never with terminate(): killing a thread inside a native run aborts the whole process.
import { parentPort, type Transferable, type Worker } from 'node:worker_threads'
import { ERROR_CODES, type ErrorCode, isMurmurError, MurmurError } from '../protocol/errors.ts'

/** What a worker offers: functions of one structured-cloneable argument. */
export type WorkerHandlers = Record<string, (args: never) => unknown>

type Result<F> = F extends (args: never) => infer R ? Awaited<R> : never
type Argument<F> = F extends (args: infer A) => unknown ? A : never

export interface WorkerClient<H extends WorkerHandlers> {
  /** Runs a handler in the worker. @throws the MurmurError that the handler threw; worker-failed for anything else, or if the worker ends */
  call<M extends keyof H & string>(method: M, args: Argument<H[M]>, transfer?: readonly Transferable[]): Promise<Result<H[M]>>
  /** Lets calls already made finish, closes the worker and waits for its end. Idempotent; never rejects. */
  stop(): Promise<void>
}

type Request = { id: number; method: string; args: unknown } | { stop: true }
export type Failure = { code: ErrorCode | undefined; message: string; stack: string | undefined }
type Response = { id: number; value: unknown } | { id: number; error: Failure }

const moved = new WeakMap<object, readonly Transferable[]>()

/** Marks a handler's result so that `transfer` is moved to the caller, not copied; returns the result. */
export function transferring<T extends object>(result: T, transfer: readonly Transferable[]): T {
  moved.set(result, transfer)
  return result
}

/** Worker side: answers calls one at a time, in order. `onStop` runs after the last one, before the port closes. */
export function serveWorker(handlers: WorkerHandlers, onStop?: () => unknown): void {
  const port = parentPort
  if (port === null) throw new MurmurError('internal', 'serveWorker was called outside a worker thread.')
  const answer = async (request: Request): Promise<void> => {
    if ('stop' in request) {
      try {
        await onStop?.()
      } finally {
        port.close()
      }
      return
    }
    const { id, method, args } = request
    try {
      const handler = handlers[method] as ((args: unknown) => unknown) | undefined
      if (handler === undefined) throw new MurmurError('internal', `The worker has no method "${method}".`)
      const value = await handler(args)
      const transfer = typeof value === 'object' && value !== null ? moved.get(value) : undefined
      port.postMessage({ id, value } satisfies Response, transfer ?? [])
    } catch (error) {
      port.postMessage({ id, error: describeError(error) } satisfies Response)
    }
  }
  let queue: Promise<void> = Promise.resolve()
  port.on('message', (request: Request) => {
    queue = queue.then(() => answer(request))
  })
}

/** An error as plain data, for another thread or process. */
export function describeError(error: unknown): Failure {
  if (!(error instanceof Error)) return { code: undefined, message: String(error), stack: undefined }
  return { code: isMurmurError(error) ? error.code : undefined, message: error.message, stack: error.stack }
}

export function reviveError({ code, message, stack }: Failure): MurmurError {
  if (code !== undefined && Object.hasOwn(ERROR_CODES, code)) return new MurmurError(code, message)
  const cause = new Error(message)
  if (stack !== undefined) cause.stack = stack
  return new MurmurError('worker-failed', `A worker thread failed: ${message}`, { cause })
}

/**
 * Main side. A pending call keeps the process alive; an idle worker does not.
 * `onExit` is called once when the worker has ended, with the reason where it was not asked to.
 */
export function callWorker<H extends WorkerHandlers>(worker: Worker, onExit?: (failure?: MurmurError) => void): WorkerClient<H> {
  const pending = new Map<number, { resolve(value: unknown): void; reject(error: MurmurError): void }>()
  let nextId = 1
  let stopping: Promise<void> | undefined
  let failure: MurmurError | undefined
  let ended = false
  const exited = new Promise<void>((resolve) => {
    worker.once('exit', (exitCode) => {
      ended = true
      const why = stopping === undefined ? `ended with exit code ${exitCode}` : 'was stopped'
      failure ??= new MurmurError('worker-failed', `A worker thread ${why} before it answered.`)
      for (const call of pending.values()) call.reject(failure)
      pending.clear()
      onExit?.(stopping === undefined ? failure : undefined)
      resolve()
    })
  })
  const hold = () => (pending.size > 0 || stopping !== undefined ? worker.ref() : worker.unref())

  worker.on('error', (error) => {
    failure = reviveError(describeError(error))
  })
  worker.on('messageerror', (error) => {
    failure = reviveError(describeError(error))
    for (const call of pending.values()) call.reject(failure)
    pending.clear()
    hold()
  })
  worker.on('message', (response: Response) => {
    const call = pending.get(response.id)
    pending.delete(response.id)
    hold()
    if (call === undefined) return
    if ('error' in response) call.reject(reviveError(response.error))
    else call.resolve(response.value)
  })
  hold()

  return {
    call(method, args, transfer = []) {
      if (ended || stopping !== undefined) {
        return Promise.reject(failure ?? new MurmurError('worker-failed', `"${method}" was asked of a worker thread that was stopped.`))
      }
      return new Promise((resolve, reject) => {
        const id = nextId++
        pending.set(id, { resolve: resolve as (value: unknown) => void, reject })
        hold()
        try {
          worker.postMessage({ id, method, args } satisfies Request, transfer)
        } catch (error) {
          pending.delete(id)
          hold()
          reject(reviveError(describeError(error)))
        }
      })
    },
    stop() {
      if (stopping === undefined) {
        stopping = exited
        if (!ended) {
          hold()
          worker.postMessage({ stop: true } satisfies Request)
        }
      }
      return stopping
    },
  }
}
