// Which peers a payload comes from: those who hold it, the one that is fast enough, not the one that lied; and what it costs who serves.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { PAYLOAD_PROTOCOL } from '../../node/host/payload-exchange.ts'
import { memoryStore } from '../../node/store/memory-store.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { type PayloadRequest, PayloadRequestSchema, PayloadResponseSchema } from '../../protocol/wire_pb.ts'
import { lab, partOf, payloadOf, same, TASK } from './payload-lab.ts'

const MiB = 1024 * 1024

/** Subscribes, so that these peers see each other as members of the topic. */
async function gather(peers: { network: { subscribe: (topic: string, handlers: never) => Promise<void> } }[]): Promise<void> {
  const handlers = { validate: () => 'ignore', messageId: (message: Uint8Array) => message }
  for (const { network } of peers) await network.subscribe('topic', handlers as never)
}

const chunksOf = (asked: readonly PayloadRequest[]): number[] =>
  asked.flatMap(({ part }) => (part.case === 'chunk' ? [part.value] : [])).toSorted((a, b) => a - b)

t.test('a source that stalls is hedged by a second one from the other end; nothing waits for its time limit', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const { payload, ref, root } = payloadOf(20 * LIMITS.chunkBytes)
  const me = await add('me')
  const holder = await add('holder')
  await holder.store.putObject(root, payload)
  const stalls = await addLiar('stalls', (request) =>
    request.part.case === 'chunk' && request.part.value >= 6 ? new Promise(() => {}) : partOf(payload, request),
  )
  const began = clock.now()
  t.ok(same(await settle(me.exchange.pull(ref, () => ['stalls', 'holder'])), payload))
  t.ok(clock.now() - began < 10_000, `${clock.now() - began} ms`)
  t.same(chunksOf(stalls.asked), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 'it got no more than four at a time to sit on')
  t.same(me.bad, [])
})

t.test('no more than two sources are asked at a time, and few chunks twice', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const { payload, ref } = payloadOf(40 * LIMITS.chunkBytes)
  const me = await add('me')
  const asking = new Map<string, number>()
  let most = 0
  const sources = ['a', 'b', 'c', 'd']
  const all: PayloadRequest[] = []
  for (const name of sources) {
    await addLiar(name, async (request) => {
      all.push(request)
      asking.set(name, (asking.get(name) ?? 0) + 1)
      most = Math.max(most, [...asking.values()].filter((count) => count > 0).length)
      // Slow enough to be hedged again and again, fast enough to stay.
      await new Promise<void>((resolve) => clock.after(request.part.case === 'chunk' ? 6000 : 10, resolve))
      asking.set(name, asking.get(name)! - 1)
      return partOf(payload, request)
    })
  }
  t.ok(same(await settle(me.exchange.pull(ref, () => sources)), payload))
  t.equal(most, 2)
  const chunks = chunksOf(all)
  t.ok(chunks.length - new Set(chunks).size <= 2 * LIMITS.chunksInFlight, `${chunks.length} requests for ${new Set(chunks).size} chunks`)
})

t.test('a source below the slowest rate is left, one just above it is not', async (t) => {
  for (const [factor, isLeft] of [
    [0.5, true],
    [1.3, false],
  ] as const) {
    const { add, addLiar, settle, clock } = await lab()
    const { payload, ref } = payloadOf(12 * LIMITS.chunkBytes)
    const me = await add('me')
    const millis = (1000 * LIMITS.chunkBytes * LIMITS.chunksInFlight) / (factor * LIMITS.slowestBytesPerSecond)
    await addLiar('slow', async (request) => {
      if (request.part.case === 'chunk') await new Promise<void>((resolve) => clock.after(millis, resolve))
      return partOf(payload, request)
    })
    const work = settle(me.exchange.pull(ref, () => ['slow']))
    if (isLeft) await t.rejects(work, { code: 'peer-unreachable', message: /less than 32768 bytes a second|no answer/ })
    else t.ok(same(await work, payload))
  }
})

t.test('who has pulled a payload says so, and shares in serving it', async (t) => {
  const { add, settle, clock } = await lab()
  const author = await add('author')
  const early = await Promise.all(Array.from({ length: 6 }, (_, i) => add(`early${i}`)))
  const late = await Promise.all(Array.from({ length: 8 }, (_, i) => add(`late${i}`)))
  await gather([author, ...early, ...late])
  const { payload, ref, root } = payloadOf(8 * LIMITS.chunkBytes)
  await author.store.putObject(root, payload)
  const everyone = [author, ...early, ...late].map(({ network }) => network.self)
  await settle(Promise.all(early.map(({ exchange }) => exchange.pull(ref, () => ['author']))))
  await clock.advance(1000)
  const before = author.network.traffic().sent
  const pulled = await settle(Promise.all(late.map(({ exchange }) => exchange.pull(ref, () => everyone))))
  t.ok(pulled.every((each) => same(each, payload)))
  const share = (author.network.traffic().sent - before) / (late.length * payload.length)
  t.ok(share < 0.7, `the author sent ${(100 * share).toFixed(0)} % of what was pulled late`)
})

t.test('word of one chunk is not worth telling', async (t) => {
  const { add, settle, clock, bus } = await lab()
  const [a, b] = [await add('a'), await add('b')]
  await gather([a, b])
  const { payload, ref, root } = payloadOf(1000)
  await a.store.putObject(root, payload)
  await settle(b.exchange.pull(ref, () => ['a']))
  let sent = 0
  bus.lose(() => ++sent > 0)
  await clock.advance(5000)
  t.equal(sent, 0)
})

t.test('a peer that says it holds what it does not costs one question and is no liar', async (t) => {
  const { add, addLiar, settle } = await lab()
  const { payload, ref, root } = payloadOf(3 * LIMITS.chunkBytes)
  const me = await add('me')
  const author = await add('author')
  await author.store.putObject(root, payload)
  const boaster = await addLiar('boaster', () => {
    throw new Error('nothing here')
  })
  const body = toBinary(
    PayloadRequestSchema,
    create(PayloadRequestSchema, { task: TASK, hash: ref.hash, part: { case: 'have', value: true } }),
  )
  await settle(boaster.network.request('me', PAYLOAD_PROTOCOL, body))
  t.ok(same(await settle(me.exchange.pull(ref, () => ['author', 'boaster'])), payload))
  t.ok(boaster.asked.length <= 1)
  t.same(me.bad, [])
})

t.test('a peer that tells of far too much, or of nothing, is refused', async (t) => {
  const { add, settle } = await lab()
  const [a] = [await add('a'), await add('b')]
  for (const length of [0, 31, 33, 65 * 32]) {
    const part = { case: 'have', value: true } as const
    const body = toBinary(PayloadRequestSchema, create(PayloadRequestSchema, { task: TASK, hash: new Uint8Array(length), part }))
    await t.rejects(settle(a.network.request('b', PAYLOAD_PROTOCOL, body)), { code: 'peer-refused', message: /not a request/ })
  }
})

t.test('after bad chunks in three payloads a peer is no source any more', async (t) => {
  const { add, addLiar, settle } = await lab()
  const me = await add('me')
  const holder = await add('holder')
  const liar = await addLiar('liar', (request) => new Uint8Array(request.part.case === 'chunk' ? LIMITS.chunkBytes : 32))
  for (let seed = 1; seed <= 5; seed++) {
    const { payload, ref, root } = payloadOf(LIMITS.chunkBytes, seed)
    await holder.store.putObject(root, payload)
    t.ok(same(await settle(me.exchange.pull(ref, () => ['liar', 'holder'])), payload))
  }
  t.same(me.bad, ['liar', 'liar', 'liar'])
  t.equal(liar.asked.length, 3)
})

t.test('a pull that ended half way goes on where it stood, in another process too', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const { payload, ref } = payloadOf(16 * LIMITS.chunkBytes)
  const kept = memoryStore()
  const me = await add('me', TASK, kept)
  const gives = await addLiar('gives', (request) =>
    request.part.case === 'chunk' && request.part.value >= 9 ? new Promise(() => {}) : partOf(payload, request),
  )
  const dying = new AbortController()
  const first = me.exchange.pull(ref, () => ['gives'], { signal: dying.signal })
  first.catch(() => {})
  await clock.runUntil(() => chunksOf(gives.asked).includes(12), 60_000)
  dying.abort()
  await t.rejects(settle(first), { code: 'cancelled' })
  await me.network.stop()
  const again = await add('me', TASK, kept)
  const source = await addLiar('source', (request) => partOf(payload, request))
  t.ok(same(await settle(again.exchange.pull(ref, () => ['source'])), payload))
  t.same(chunksOf(source.asked), [9, 10, 11, 12, 13, 14, 15])
  t.equal(source.asked.length, 7, 'the hash list was there too')
})

t.test('a peer gets its share and is asked to wait for more; one that obeys gets all', async (t) => {
  const { add, settle, clock } = await lab()
  const [holder, me] = [await add('holder'), await add('me')]
  const { payload, ref, root } = payloadOf(4 * LIMITS.chunkBytes)
  await holder.store.putObject(root, payload)
  const part = { case: 'hashList', value: true } as const
  const body = toBinary(PayloadRequestSchema, create(PayloadRequestSchema, { task: TASK, hash: ref.hash, part }))
  const ask = async () => fromBinary(PayloadResponseSchema, await me.network.request('holder', PAYLOAD_PROTOCOL, body))
  const inBurst = LIMITS.servedBytesBurst / LIMITS.chunkBytes
  let got = 0
  let answer = (await settle(Promise.all([ask()])))[0]!
  while (answer.retryMillis === 0 && got <= 2 * inBurst) {
    const answers = await settle(Promise.all(Array.from({ length: LIMITS.requestsInFlight }, ask)))
    got += answers.filter(({ retryMillis }) => retryMillis === 0).length
    answer = answers.at(-1)!
  }
  t.ok(got >= 0.9 * inBurst && got <= 1.5 * inBurst, `${(got * LIMITS.chunkBytes) / MiB} MiB before the first wait`)
  t.ok(answer.retryMillis > 0 && answer.bytes.length === 0)
  const began = clock.now()
  t.ok(same(await settle(me.exchange.pull(ref, () => ['holder'])), payload))
  t.ok(clock.now() > began)
  const other = await add('other')
  t.ok(same(await settle(other.exchange.pull(ref, () => ['holder'])), payload), 'the share of another is its own')
})

t.test('a source that puts off for ever is left', async (t) => {
  const { add, bus, settle } = await lab()
  const { payload, ref, root } = payloadOf(3 * LIMITS.chunkBytes)
  const me = await add('me')
  const holder = await add('holder')
  await holder.store.putObject(root, payload)
  const network = bus.network('later')
  await network.start()
  network.serve(PAYLOAD_PROTOCOL, async () => toBinary(PayloadResponseSchema, create(PayloadResponseSchema, { retryMillis: 1000 })))
  t.ok(same(await settle(me.exchange.pull(ref, () => ['later', 'holder'])), payload))
  const alone = payloadOf(3 * LIMITS.chunkBytes, 2).ref
  await t.rejects(settle(me.exchange.pull(alone, () => ['later'])), { code: 'peer-unreachable', message: /as much as it sends/ })
})
