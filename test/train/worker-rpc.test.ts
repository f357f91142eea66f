import { spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { resting } from '../../node/resting.ts'
import { callWorker } from '../../node/worker-rpc.ts'
import { keepAlive } from '../helpers/alive.ts'
import type { Handlers } from './rpc-worker.ts'

const SCRIPT = new URL('rpc-worker.ts', import.meta.url)

function start(t: Test, onExit?: Parameters<typeof callWorker>[1]) {
  const worker = new Worker(SCRIPT)
  const client = callWorker<Handlers>(worker, onExit)
  t.teardown(() => client.stop())
  return { worker, client }
}

t.test('a call gives what the handler returns', async (t) => {
  const { client } = start(t)
  t.equal(await client.call('add', { a: 2, b: 3 }), 5)
})

t.test('calls are answered one at a time, in order', async (t) => {
  const { client } = start(t)
  const answers = await Promise.all(['a', 'b', 'c'].map((name) => client.call('slow', name)))
  t.strictSame(answers, [['a'], ['a', 'b'], ['a', 'b', 'c']])
})

t.test('buffers are moved there and back', async (t) => {
  const { client } = start(t)
  const values = new Float32Array(1000)
  const back = await client.call('move', values, [values.buffer])
  t.equal(values.length, 0)
  t.equal(back.length, 1000)
  t.equal(back[0], 7)
})

t.test('a MurmurError keeps its code and sentence; any other error is a failed worker', async (t) => {
  const { client } = start(t)
  await t.rejects(client.call('refuse', 'at step 3'), { name: 'MurmurError', code: 'training-diverged', message: 'at step 3' })
  await t.rejects(client.call('crash', 'oops'), { code: 'worker-failed', message: /oops/ })
  await t.rejects(client.call('unclonable', undefined), { code: 'worker-failed' })
  t.equal(await client.call('add', { a: 1, b: 1 }), 2, 'the worker goes on')
})

t.test('an argument that cannot be sent rejects its own call only', async (t) => {
  const { client } = start(t)
  await t.rejects(client.call('slow', (() => 1) as unknown as string), { code: 'worker-failed' })
  t.equal(await client.call('add', { a: 1, b: 1 }), 2)
})

for (const [name, die] of [
  ['exits', (client: ReturnType<typeof start>['client']) => client.call('exit', 3)],
  ['throws uncaught', (client: ReturnType<typeof start>['client']) => client.call('explode', undefined)],
] as const) {
  t.test(`a worker that ${name} rejects all pending and later calls`, async (t) => {
    const failures: unknown[] = []
    const { client } = start(t, (failure) => failures.push(failure))
    const pending = [die(client), client.call('slow', 'a'), client.call('slow', 'b')]
    for (const result of await Promise.allSettled(pending)) {
      t.equal(result.status, 'rejected')
      if (result.status === 'rejected') t.match(result.reason, { code: 'worker-failed' })
    }
    await t.rejects(client.call('add', { a: 1, b: 1 }), { code: 'worker-failed' })
    t.match(failures, [{ code: 'worker-failed' }])
    await client.stop()
  })
}

t.test('a worker whose script does not exist rejects its calls', async (t) => {
  const client = callWorker<Handlers>(new Worker(new URL('no-such-worker.ts', import.meta.url)))
  await t.rejects(client.call('add', { a: 1, b: 1 }), { code: 'worker-failed', message: /no-such-worker/ })
})

t.test('stop lets calls already made finish, ends the worker, and may be called again', async (t) => {
  const ends: unknown[] = []
  const { client } = start(t, (failure) => ends.push(failure))
  const pending = client.call('slow', 'last')
  await Promise.all([client.stop(), client.stop()])
  t.strictSame(await pending, ['last'])
  t.strictSame(ends, [undefined])
  await t.rejects(client.call('add', { a: 1, b: 1 }), { code: 'worker-failed' })
})

t.test('a pending call keeps the process alive, an idle worker does not', async (t) => {
  const code = `
    import { Worker } from 'node:worker_threads'
    import { callWorker } from '${new URL('../../node/worker-rpc.ts', import.meta.url)}'
    const client = callWorker(new Worker(new URL('${SCRIPT}')))
    client.call('slow', 'done').then((value) => console.log(value.join()))`
  const main = join(t.testdir({ 'main.mjs': code }), 'main.mjs')
  const { stdout, status } = spawnSync(process.execPath, [main], { encoding: 'utf8', timeout: 20_000 })
  t.equal(stdout, 'done\n')
  t.equal(status, 0)
})

t.test('what rests is begun with the first use, ended when nobody uses it for a while, and begun again', async (t) => {
  const worker = { began: 0, ended: 0 }
  const ends = new EventEmitter()
  const { use, stop } = resting(() => {
    worker.began++
    return {
      name: `worker ${worker.began}`,
      async stop() {
        worker.ended++
        ends.emit('end')
      },
    }
  }, 20)
  keepAlive(t)
  t.equal(worker.began, 0)
  const ended = once(ends, 'end')
  t.same(await Promise.all([use(async ({ name }) => name), use(async ({ name }) => name)]), ['worker 1', 'worker 1'])
  await ended
  t.same(worker, { began: 1, ended: 1 })
  await t.rejects(
    use(() => Promise.reject(new Error('no'))),
    /no/,
  )
  t.equal(worker.began, 2)
  await stop()
  t.same(worker, { began: 2, ended: 2 })
  await t.rejects(
    use(async () => {}),
    { code: 'worker-failed' },
  )
})
