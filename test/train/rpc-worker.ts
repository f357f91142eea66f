// The worker side of the tests of node/worker-rpc.ts.
import { serveWorker, transferring } from '../../node/worker-rpc.ts'
import { MurmurError } from '../../protocol/errors.ts'

const log: string[] = []

const handlers = {
  add: ({ a, b }: { a: number; b: number }) => a + b,
  async slow(name: string) {
    await new Promise((resolve) => setImmediate(resolve))
    log.push(name)
    return [...log]
  },
  move(values: Float32Array) {
    values[0] = 7
    return transferring(values, [values.buffer as ArrayBuffer])
  },
  refuse: (message: string) => {
    throw new MurmurError('training-diverged', message)
  },
  crash: (message: string) => {
    throw new TypeError(message)
  },
  unclonable: (_: undefined) => () => 1,
  exit: (code: number) => process.exit(code),
  explode: (_: undefined) =>
    new Promise(() => {
      setImmediate(() => {
        throw new Error('uncaught')
      })
    }),
}
export type Handlers = typeof handlers

serveWorker(handlers)
