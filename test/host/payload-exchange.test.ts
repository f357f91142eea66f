// Pulling payloads from peers of every kind: honest, lying, dead, slow; over the bus, and twenty megabytes over libp2p.
import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { PAYLOAD_PROTOCOL } from '../../node/host/payload-exchange.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { chunkCount } from '../../protocol/payload.ts'
import { hexOf } from '../../protocol/task.ts'
import { type PayloadRequest, PayloadRequestSchema } from '../../protocol/wire_pb.ts'
import { startPeer } from '../network/libp2p-peers.ts'
import { within } from '../network/recorder.ts'
import { exchangeOn, lab, partOf, payloadOf, same, TASK } from './payload-lab.ts'

t.test('a payload of any length is pulled whole, kept, and passed on', async (t) => {
  const { add, settle } = await lab()
  const [a, b, c] = [await add('a'), await add('b'), await add('c')]
  const lengths = [0, 1, LIMITS.chunkBytes - 1, LIMITS.chunkBytes, LIMITS.chunkBytes + 1, 5 * LIMITS.chunkBytes + 12_345]
  for (const length of lengths) {
    const { payload, ref, root } = payloadOf(length, length)
    await a.store.putObject(root, payload)
    const told: number[] = []
    t.ok(same(await settle(b.exchange.pull(ref, () => ['a'], { onProgress: (bytes) => told.push(bytes) })), payload), `${length} bytes`)
    t.ok(same(await b.store.getObject(root), payload))
    t.equal(told.at(-1), length)
    t.same(
      told,
      told.toSorted((x, y) => x - y),
    )
    t.ok(same(await settle(c.exchange.pull(ref, () => ['b'])), payload), 'from one that was not its author')
  }
})

t.test('lengths at random', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 3 * LIMITS.chunkBytes }), fc.integer(), async (length, seed) => {
      const { add, settle } = await lab()
      const [a, b] = [await add('a'), await add('b')]
      const { payload, ref, root } = payloadOf(length, seed)
      await a.store.putObject(root, payload)
      return same(await settle(b.exchange.pull(ref, () => ['a'])), payload)
    }),
    { numRuns: 15 },
  )
  t.end()
})

t.test('what is held is not asked for', async (t) => {
  const { add, bus } = await lab()
  const { payload, ref, root } = payloadOf(1000)
  const a = await add('a')
  await a.store.putObject(root, payload)
  bus.lose(() => {
    t.fail('something was sent')
    return true
  })
  t.same(await a.exchange.pull(ref, () => ['b']), payload)
})

t.test('sources are asked in turn: unknown, dead, without it, of another task, and one that has it', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const { payload, ref, root } = payloadOf(3 * LIMITS.chunkBytes)
  const me = await add('me')
  const elsewhere = await add('elsewhere', new Uint8Array(32))
  await add('empty')
  const holder = await add('holder')
  for (const peer of [elsewhere, holder]) await peer.store.putObject(root, payload)
  const dead = await addLiar('dead', () => new Promise(() => {}))
  const began = clock.now()
  t.ok(same(await settle(me.exchange.pull(ref, () => ['nobody', 'me', 'dead', 'empty', 'elsewhere', 'holder'])), payload))
  t.ok(clock.now() - began <= LIMITS.requestMillis + 1000, 'the dead one cost one time limit')
  t.equal(dead.asked.length, 1)
  t.same(me.bad, [], 'none of this is a lie')
})

t.test('a peer that sends wrong bytes is named once and not asked again; its good chunks are kept', async (t) => {
  const { add, addLiar, settle } = await lab()
  const { payload, ref, root } = payloadOf(12 * LIMITS.chunkBytes)
  const me = await add('me')
  const holder = await add('holder')
  await holder.store.putObject(root, payload)
  const liar = await addLiar('liar', (request) => {
    const part = partOf(payload, request).slice()
    if (request.part.case === 'chunk' && request.part.value === 6) part[100] = part[100]! ^ 1
    return part
  })
  const pulled = await settle(me.exchange.pull(ref, () => ['liar', 'holder', 'liar']))
  t.ok(same(pulled, payload))
  t.same(me.bad, ['liar'])
  const asked = liar.asked.length
  t.ok(asked >= 7 && asked <= 12, `the liar was asked ${asked} times`)
  t.equal(holder.counted.reads, 1, 'serving reads the object once')
})

t.test('every way to lie ends with the payload from someone honest, or with none', async (t) => {
  const { payload, ref, root } = payloadOf(2 * LIMITS.chunkBytes + 10)
  const other = payloadOf(2 * LIMITS.chunkBytes + 10, 99).payload
  const lies: Record<string, (request: PayloadRequest) => Uint8Array> = {
    'another payload': (request) => partOf(other, request),
    'a hash list of another payload': (request) => partOf(request.part.case === 'chunk' ? payload : other, request),
    'chunks of another payload': (request) => partOf(request.part.case === 'chunk' ? other : payload, request),
    'short chunks': (request) => (request.part.case === 'chunk' ? partOf(payload, request).subarray(1) : partOf(payload, request)),
    'long chunks': (request) => (request.part.case === 'chunk' ? new Uint8Array(LIMITS.chunkBytes + 1) : partOf(payload, request)),
    'a short hash list': (request) => (request.part.case === 'chunk' ? partOf(payload, request) : partOf(payload, request).subarray(32)),
    nothing: () => new Uint8Array(),
    'the wrong chunk': (request) => (request.part.case === 'chunk' ? payload.subarray(0, LIMITS.chunkBytes) : partOf(payload, request)),
  }
  for (const [name, lie] of Object.entries(lies)) {
    const { add, addLiar, settle } = await lab()
    const me = await add('me')
    const holder = await add('holder')
    await holder.store.putObject(root, payload)
    await addLiar('liar', lie)
    await t.rejects(settle(me.exchange.pull(ref, () => ['liar'])), { code: 'peer-unreachable' }, name)
    t.equal(await me.store.getObject(root), undefined)
    t.ok(same(await settle(me.exchange.pull(ref, () => ['liar', 'holder'])), payload))
    t.same(me.bad, ['liar'], 'it was not asked for this payload again')
  }
})

t.test('an answer that is not a message, and one above the limit, move on to the next', async (t) => {
  const { add, bus, settle } = await lab()
  const { payload, ref, root } = payloadOf(100)
  const me = await add('me')
  const holder = await add('holder')
  await holder.store.putObject(root, payload)
  for (const [name, bytes] of [
    ['garbage', new Uint8Array(50).fill(255)],
    ['huge', new Uint8Array(LIMITS.responseBytes + 1)],
  ] as const) {
    const network = bus.network(name)
    await network.start()
    network.serve(PAYLOAD_PROTOCOL, async () => bytes)
  }
  t.ok(same(await settle(me.exchange.pull(ref, () => ['garbage', 'huge', 'holder'])), payload))
})

t.test('a payload that nobody has says so, with the last reason', async (t) => {
  const { add, settle } = await lab()
  const me = await add('me')
  await add('empty')
  const { ref } = payloadOf(100)
  await t.rejects(settle(me.exchange.pull(ref, () => ['empty'])), { code: 'peer-unreachable', message: /does not hold the payload/ })
  await t.rejects(settle(me.exchange.pull(ref, () => [])), { code: 'peer-unreachable', message: /no peer is known/ })
})

t.test('sources that become known while others fail are asked too', async (t) => {
  const { add, addLiar, settle } = await lab()
  const { payload, ref, root } = payloadOf(100)
  const me = await add('me')
  const holder = await add('holder')
  await holder.store.putObject(root, payload)
  const sources = ['first']
  await addLiar('first', () => {
    sources.push('holder')
    return new Uint8Array()
  })
  t.ok(same(await settle(me.exchange.pull(ref, () => sources)), payload))
})

t.test('those who want the same payload at once share one pull', async (t) => {
  const { add, addLiar, settle } = await lab()
  const { payload, ref } = payloadOf(6 * LIMITS.chunkBytes)
  const me = await add('me')
  const source = await addLiar('source', (request) => partOf(payload, request))
  const results = await settle(Promise.all(Array.from({ length: 5 }, () => me.exchange.pull(ref, () => ['source']))))
  t.ok(results.every((result) => result === results[0]))
  t.ok(same(results[0], payload))
  t.equal(source.asked.length, 1 + chunkCount(payload.length))
})

t.test('one that gives up does not end the pull for others; when all have, it ends', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const { payload, ref } = payloadOf(6 * LIMITS.chunkBytes)
  const me = await add('me')
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const source = await addLiar('source', async (request) => {
    await released
    return partOf(payload, request)
  })
  const [first, second] = [new AbortController(), new AbortController()]
  const leaves = me.exchange.pull(ref, () => ['source'], { signal: first.signal })
  const stays = me.exchange.pull(ref, () => ['source'], { signal: second.signal })
  for (const each of [leaves, stays]) each.catch(() => {})
  await clock.advance(10)
  first.abort()
  await t.rejects(settle(leaves), { code: 'cancelled' })
  release()
  t.ok(same(await settle(stays), payload))
  const asked = source.asked.length
  const { ref: another } = payloadOf(100, 5)
  const third = new AbortController()
  const gone = me.exchange.pull(another, () => ['source'], { signal: third.signal })
  gone.catch(() => {})
  third.abort()
  await t.rejects(settle(gone), { code: 'cancelled' })
  await clock.advance(100_000)
  t.ok(source.asked.length <= asked + 1)
  await t.rejects(
    me.exchange.pull(ref, () => [], { signal: AbortSignal.abort() }),
    { code: 'cancelled' },
  )
})

t.test('no more than four chunks are asked of one peer at a time, whatever is pulled from it', async (t) => {
  const { add, addLiar, settle, clock } = await lab()
  const me = await add('me')
  const payloads = [1, 2, 3].map((seed) => payloadOf(10 * LIMITS.chunkBytes, seed))
  let running = 0
  let most = 0
  await addLiar('source', async (request) => {
    most = Math.max(most, ++running)
    // Long enough for whatever else is asked to arrive meanwhile.
    await new Promise<void>((resolve) => clock.after(100, resolve))
    running--
    return partOf(payloads.find(({ root }) => root === hexOf(request.hash))!.payload, request)
  })
  const pulled = await settle(Promise.all(payloads.map(({ ref }) => me.exchange.pull(ref, () => ['source']))))
  t.same(
    pulled.map((payload) => payload.length),
    payloads.map(({ payload }) => payload.length),
  )
  t.equal(most, LIMITS.chunksInFlight)
})

t.test('twenty peers that pull at once make the holder read its object once', async (t) => {
  const { add, settle } = await lab()
  const { payload, ref, root } = payloadOf(4 * LIMITS.chunkBytes)
  const holder = await add('holder')
  await holder.store.putObject(root, payload)
  const pullers = await Promise.all(Array.from({ length: 20 }, (_, i) => add(`p${i}`)))
  await settle(Promise.all(pullers.map(({ exchange }) => exchange.pull(ref, () => ['holder']))))
  t.equal(holder.counted.reads, 1)
})

t.test('what cannot be a payload is refused before anyone is asked', async (t) => {
  const { add } = await lab()
  const me = await add('me')
  const { ref } = payloadOf(10)
  await t.rejects(
    me.exchange.pull({ ...ref, length: LIMITS.payloadBytes + 1 }, () => ['x']),
    { code: 'limit-exceeded' },
  )
  await t.rejects(
    me.exchange.pull({ ...ref, length: -1 }, () => ['x']),
    { code: 'limit-exceeded' },
  )
  await t.rejects(
    me.exchange.pull({ ...ref, hash: new Uint8Array(31) }, () => ['x']),
    { code: 'bad-argument' },
  )
})

t.test('requests that make no sense are refused', async (t) => {
  const { add, settle } = await lab()
  const [a, b] = [await add('a'), await add('b')]
  const { payload, ref, root } = payloadOf(100)
  await a.store.putObject(root, payload)
  const ask = (body: Uint8Array) => settle(b.network.request('a', PAYLOAD_PROTOCOL, body))
  const request = (part: PayloadRequest['part'], task = TASK, hash = ref.hash) =>
    toBinary(PayloadRequestSchema, create(PayloadRequestSchema, { task, hash, part }))
  for (const [why, body] of [
    [/not a request/, new Uint8Array(20).fill(255)],
    [/not a request/, new Uint8Array()],
    [/not a request/, request({ case: undefined })],
    [/not a request/, request({ case: 'chunk', value: 0 }, TASK, new Uint8Array(3))],
    [/another task/, request({ case: 'chunk', value: 0 }, new Uint8Array(32))],
    [/does not exist/, request({ case: 'chunk', value: 1 })],
    [/does not exist/, request({ case: 'chunk', value: 4_000_000_000 })],
  ] as const) {
    await t.rejects(ask(body), { code: 'peer-refused', message: why })
  }
})

t.test('over libp2p: twenty megabytes arrive whole, from one peer and then from two, and the chunk cache counts', async (t: Test) => {
  const [a, b, c] = (await Promise.all([startPeer(t), startPeer(t), startPeer(t)])).map((network) => exchangeOn(network))
  const { payload, ref, root } = payloadOf(20_000_000)
  await a!.store.putObject(root, payload)
  await b!.network.connect(a!.network.addresses()[0]!)
  await c!.network.connect(b!.network.addresses()[0]!)
  const began = performance.now()
  const pulled = await within(
    'the payload',
    b!.exchange.pull(ref, () => [a!.network.self]),
  )
  t.comment(`${(20 / ((performance.now() - began) / 1000)).toFixed(0)} MB/s`)
  t.ok(same(pulled, payload))
  t.equal(a!.counted.reads, 1)
  t.equal(
    Buffer.compare(
      await within(
        'the payload',
        c!.exchange.pull(ref, () => [a!.network.self, b!.network.self]),
      ),
      payload,
    ),
    0,
  )
  t.ok(b!.network.traffic().received > 20_000_000)
  t.same([...b!.bad, ...c!.bad], [])
})

t.test('over libp2p: a holder that stops in the middle is left for another', async (t) => {
  const [me, dies, lives] = (await Promise.all([startPeer(t), startPeer(t), startPeer(t)])).map((network) => exchangeOn(network))
  const { payload, ref, root } = payloadOf(8_000_000)
  for (const holder of [dies!, lives!]) {
    await holder.store.putObject(root, payload)
    await me!.network.connect(holder.network.addresses()[0]!)
  }
  let stopping: Promise<void> | undefined
  const pulled = await within(
    'the payload',
    me!.exchange.pull(ref, () => [dies!.network.self, lives!.network.self], {
      onProgress: () => {
        stopping ??= dies!.network.stop()
      },
    }),
  )
  await stopping
  t.ok(same(pulled, payload))
  t.same(me!.bad, [])
})
