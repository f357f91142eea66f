// Many payloads wanted at once: few are pulled at a time, whoever withholds keeps no others waiting, and the memory of one serves the next.
import t from 'tap'
import type { PeerParts } from '../../node/peer/parts.ts'
import { createPuller } from '../../node/peer/puller.ts'
import type { Store } from '../../node/ports.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { hexOf } from '../../protocol/task.ts'
import type { Update } from '../../protocol/update.ts'
import { lab, partOf, payloadOf, same, TASK } from './payload-lab.ts'

const LENGTH = 6 * LIMITS.chunkBytes
/** Payloads pulled at a time, as ARCHITECTURE says. */
const PULLS = 4

t.test('of many payloads that come, four are pulled at a time, and all of them arrive', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const me = await add('me')
  const payloads = Array.from({ length: 12 }, (_, i) => payloadOf(LENGTH, i))
  const begun = new Set<string>()
  const done = new Set<string>()
  let most = 0
  for (const [i, { payload, root }] of payloads.entries()) {
    await addLiar(`author${i}`, async (request) => {
      begun.add(root)
      most = Math.max(most, begun.size - done.size)
      await new Promise<void>((resolve) => clock.after(100, resolve))
      return partOf(payload, request)
    })
  }
  await settle(
    Promise.all(
      payloads.map(async ({ ref, root, payload }, i) => {
        t.ok(same(await me.exchange.pull(ref, () => [`author${i}`]), payload))
        done.add(root)
      }),
    ),
  )
  t.equal(most, PULLS)
})

t.test('authors that withhold, however many, keep an honest one waiting for seconds, not for their deadlines', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const me = await add('me')
  const giving = new AbortController()
  const stallers = Array.from({ length: 3 * PULLS }, (_, i) => payloadOf(LENGTH, i))
  for (const i of stallers.keys()) await addLiar(`staller${i}`, () => new Promise(() => {}))
  const stalled = stallers.map(({ ref }, i) => me.exchange.pull(ref, () => [`staller${i}`], { signal: giving.signal }))
  for (const each of stalled) each.catch(() => {})
  const { payload, ref, root } = payloadOf(LENGTH, 99)
  const holder = await add('holder')
  await holder.store.putObject(root, payload)
  t.ok(same(await settle(me.exchange.pull(ref, () => ['holder'])), payload))
  t.ok(clock.now() < 9000, `${clock.now()} ms`)
  giving.abort()
  await settle(Promise.allSettled(stalled))
})

t.test('who gives up while waiting for its turn leaves no gap', async (t) => {
  const { add, settle, clock } = await lab()
  const me = await add('me')
  const holder = await add('holder')
  const payloads = Array.from({ length: 3 * PULLS }, (_, i) => payloadOf(LENGTH, i))
  for (const { root, payload } of payloads) await holder.store.putObject(root, payload)
  const leaving = new AbortController()
  const results = payloads.map(({ ref }, i) => me.exchange.pull(ref, () => ['holder'], i % 2 ? { signal: leaving.signal } : {}))
  for (const each of results) each.catch(() => {})
  await clock.advance(1)
  leaving.abort()
  const settled = await settle(Promise.allSettled(results))
  t.same(
    settled.map(({ status }) => status),
    payloads.map((_, i) => (i % 2 ? 'rejected' : 'fulfilled')),
  )
})

t.test('a payload of one chunk with two slow sources comes once, and each is asked for it at most once', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const me = await add('me')
  const { payload, ref } = payloadOf(1000)
  const sources = await Promise.all(
    ['a', 'b'].map((name) =>
      addLiar(name, async (request) => {
        await new Promise<void>((resolve) => clock.after(request.part.case === 'chunk' ? 4000 : 10, resolve))
        return partOf(payload, request)
      }),
    ),
  )
  const told: number[] = []
  t.ok(same(await settle(me.exchange.pull(ref, () => ['a', 'b'], { onProgress: (bytes) => told.push(bytes) })), payload))
  t.same(told, [1000])
  t.ok(clock.now() < 10_000, `${clock.now()} ms`)
  for (const { asked } of sources) t.ok(asked.filter(({ part }) => part.case === 'chunk').length <= 1)
  t.ok(sources[1]!.asked.length > 0, 'the second one was asked')
})

t.test('memory that a payload was lent in is used for the next, but not while it is lent or served', async (t) => {
  const { add, settle, clock } = await lab()
  const kept = memoryStore()
  const openPart: Store['openPart'] = async (root, length, payload = new Uint8Array(length)) => {
    return { payload, chunks: new Set(), save() {}, finish: () => kept.putObject(root, payload.slice()), async leave() {} }
  }
  const me = await add('me', TASK, { ...kept, openPart })
  const [holder, other] = [await add('holder'), await add('other')]
  const payloads = [1, 2, 3, 4].map((seed) => payloadOf(LENGTH, seed))
  for (const { root, payload } of payloads) await holder.store.putObject(root, payload)
  const used: ArrayBufferLike[] = []
  const pull = (i: number, during = async () => {}) =>
    me.exchange.lend(
      payloads[i]!.ref,
      () => ['holder'],
      async (bytes) => {
        used.push(bytes.buffer)
        await during()
        t.ok(same(bytes, payloads[i]!.payload), `payload ${i + 1} is whole and stays so`)
      },
    )
  await settle(pull(0, () => pull(1)))
  t.not(used[0], used[1], 'not while it is lent')
  t.ok(same(await settle(other.exchange.pull(payloads[0]!.ref, () => ['me'])), payloads[0]!.payload))
  await settle(pull(2))
  t.notOk(used.slice(0, 2).includes(used[2]!), 'not while it is kept to be served')
  await clock.advance(30_000)
  await settle(pull(3))
  t.ok(used.slice(0, 3).includes(used[3]!), 'after that it is')
})

t.test('a full disk is a failure of the own peer, not of the author of a payload', async (t) => {
  const emitted: unknown[] = []
  let failure = new MurmurError('disk-failed', 'objects cannot be written: the disk is full; free some space and start again.')
  const parts = {
    task: { manifest: { codec: 'float32', limits: { maxAbs: 1 } }, exchanged: 1 },
    network: { peers: () => [] },
    exchange: { lend: () => Promise.reject(failure) },
  } as unknown as PeerParts
  const puller = createPuller(parts, (event) => emitted.push(event), new AbortController().signal)
  const { ref } = payloadOf(4)
  const update = { author: 'author', round: 1, payload: ref } as Update
  await t.rejects(puller.pull(update), { code: 'disk-failed' })
  t.same(emitted, [])
  failure = new MurmurError('peer-unreachable', `The payload ${hexOf(ref.hash)} could not be pulled.`)
  t.equal(await puller.pull(update), false)
  t.match(emitted, [{ type: 'rejected', code: 'unavailable', author: 'author' }])
})
