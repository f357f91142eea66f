import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { PeerEvent } from '../../node/events.ts'
import { askPeer, type Methods, serveControl } from '../../node/peer/control.ts'
import { MurmurError } from '../../protocol/errors.ts'

const event: PeerEvent = { type: 'traffic', received: 1, sent: 2 }

const known: Methods = {
  double: ({ value }) => 2 * Number(value),
  refuse: async () => {
    throw new MurmurError('not-allowed', 'This may not be done.')
  },
  fail: () => {
    throw new TypeError('a defect')
  },
  nothing() {},
}

async function served(t: Tap, methods: () => Methods | string = () => known) {
  // A socket's path is short.
  const dir = await mkdtemp(join(tmpdir(), 'murmur-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const listeners = new Set<(event: PeerEvent) => void>()
  const end = await serveControl(dir, {
    methods,
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  })
  t.teardown(end)
  return { dir, listeners, path: join(dir, 'murmur.sock') }
}
type Tap = import('tap').Test

t.test('a method answers, refuses with its code and sentence, or is unknown', async (t) => {
  const { dir, path } = await served(t)
  t.equal((await stat(path)).mode & 0o777, 0o600)
  t.equal(await askPeer(dir, 'double', { value: 21 }), 42)
  t.equal(await askPeer(dir, 'nothing'), null)
  await t.rejects(askPeer(dir, 'refuse'), { code: 'not-allowed', message: 'This may not be done.' })
  await t.rejects(askPeer(dir, 'fail'), { code: 'internal', message: /a defect/ })
  await t.rejects(askPeer(dir, 'constructor'), { code: 'bad-argument', message: /knows nothing of "constructor"/ })
  await t.rejects(askPeer(t.testdir({}), 'double'), { code: 'not-running', message: /npx murmur start/ })
})

t.test('a peer that starts is waited for, with a word; one that takes long is a sentence that says what it does', async (t) => {
  let methods: Methods | string = 'Fetching the model ...'
  const { dir } = await served(t, () => methods)
  const said: string[] = []
  const say = (text: string) => {
    said.push(text)
    methods = known
  }
  t.equal(await askPeer(dir, 'double', { value: 2 }, say), 4)
  t.match(said, [/^The peer in .* is still starting \(Fetching the model\); waiting for it \.\.\.$/])
  methods = 'Reading the data ...'
  const { promise, resolve } = Promise.withResolvers<void>()
  const { now } = performance
  t.teardown(() => Object.assign(performance, { now }))
  const asked = askPeer(dir, 'double', { value: 2 }, () => resolve())
  await promise
  performance.now = () => now.call(performance) + 60_000
  await t.rejects(asked, { code: 'not-running', message: /still starting \(Reading the data\); ask again once it is up\.$/ })
})

t.test('events are told until the client leaves', async (t) => {
  const { path, listeners } = await served(t)
  const socket = createConnection(path)
  socket.write('{"method":"events"}\n')
  while (listeners.size === 0) await new Promise((done) => setImmediate(done))
  for (const listener of listeners) listener(event)
  const [text] = await once(socket, 'data')
  t.same(JSON.parse(String(text)), event)
  socket.destroy()
  while (listeners.size > 0) await new Promise((done) => setImmediate(done))
})

t.test('a client that reads nothing is cut off before what it leaves unread fills the memory', async (t) => {
  const { path, listeners } = await served(t)
  const socket = createConnection(path).pause()
  socket.on('error', () => {})
  socket.write('{"method":"events"}\n')
  while (listeners.size === 0) await new Promise((done) => setImmediate(done))
  let told = 0
  for (; listeners.size > 0 && told < 100_000; told++) {
    for (const listener of listeners) listener({ type: 'warning', code: 'internal', message: 'x'.repeat(1000) })
    if (told % 100 === 0) await new Promise((done) => setImmediate(done))
  }
  t.equal(listeners.size, 0)
  t.ok(told < 20_000, `${told} kB`)
  socket.destroy()
})

t.test('what is no request is answered or cut off, and the next is served', async (t) => {
  const { path, dir } = await served(t)
  const say = async (text: string) => {
    const socket = createConnection(path)
    socket.on('error', () => {})
    socket.write(text)
    let answer = ''
    socket.on('data', (part) => {
      answer += part
    })
    await new Promise((done) => socket.once('close', done))
    return answer
  }
  for (const text of ['hello\n', '{}\n', '{"method":5}\n', '{"method":"double","params":3}\n', '{"method":"double","more":1}\n'])
    t.match(await say(text), /"bad-argument"/)
  t.equal(await say('x'.repeat(100_000)), '')
  t.equal(await askPeer(dir, 'double', { value: 1 }), 2)
})
