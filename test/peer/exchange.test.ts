// The state exchange over the bus: who lacks records gets them, page by page, and who answers badly is held to account.
import { create, toBinary } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { createBus } from '../../node/lab/bus.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { createExchange, type ExchangeOutlets, RECORDS_PROTOCOL } from '../../node/peer/exchange.ts'
import type { PeerParts } from '../../node/peer/parts.ts'
import type { Network } from '../../node/ports.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { createPrng } from '../../protocol/prng.ts'
import { encodeSigned, type SignedRecord, signedMessage } from '../../protocol/signed.ts'
import { RecordsRequestSchema, RecordsResponseSchema, type Signed } from '../../protocol/wire_pb.ts'
import { sha256 } from '../helpers/keys.ts'
import { taskOf } from '../helpers/task.ts'

const task = taskOf()
const TOPIC = '/murmuration/1/exchange'
/** What the exchange carries it does not open. */
const record = (name: string, sequence = 1, length = 250): SignedRecord => ({
  kind: 'addresses',
  envelope: new TextEncoder().encode(`${name} ${sequence} `.padEnd(length, '.')),
})
const textOf = (given: SignedRecord) => Buffer.from(encodeSigned(given)).toString('latin1')

/** Peers that hold records and do nothing but exchange them. */
function world() {
  const clock = createVirtualClock()
  const bus = createBus({ clock })
  return {
    clock,
    async add(name: string, held: SignedRecord[] = [], change: Partial<ExchangeOutlets> & { network?: Partial<Network> } = {}) {
      const own = bus.network(name)
      const blamed: string[] = []
      const network: Network = { ...own, blame: (peer) => void blamed.push(peer), ...change.network }
      await own.start()
      await own.subscribe(TOPIC, { validate: () => 'accept', messageId: sha256 })
      const known = new Set(held.map(textOf))
      const prng = createPrng(name)
      const random = { bytes: (count: number) => Uint8Array.from({ length: count }, () => prng.int(256)) }
      const exchange = createExchange({ network, clock, task, hash: sha256, random } as unknown as PeerParts, {
        records: () => held,
        take(given) {
          if (known.has(textOf(given))) return 'known'
          known.add(textOf(given))
          held.push(given)
          return 'new'
        },
        isStalled: () => false,
        ...change,
      })
      exchange.serve()
      return { network, exchange, held, blamed }
    },
    /** One whose answers are as given. */
    async answering(name: string, answer: (asked: number) => { records: Signed[]; more: boolean }) {
      const network = bus.network(name)
      await network.start()
      await network.subscribe(TOPIC, { validate: () => 'accept', messageId: sha256 })
      let asked = 0
      network.serve(RECORDS_PROTOCOL, async () => {
        return toBinary(RecordsResponseSchema, create(RecordsResponseSchema, answer(asked++)))
      })
      return { asked: () => asked }
    },
  }
}

/** Virtual time goes on until `work` is done. */
async function done<T>({ clock }: ReturnType<typeof world>, work: Promise<T>): Promise<T> {
  let settled = false
  const watched = work.finally(() => {
    settled = true
  })
  watched.catch(() => {})
  await clock.runUntil(() => settled, 120_000)
  return watched
}

const same = (t: Test, a: SignedRecord[], b: SignedRecord[]) => t.same(a.map(textOf).toSorted(), b.map(textOf).toSorted())

t.test('who asks gets what it lacks, and only that', async (t) => {
  const net = world()
  const [one, two, three] = [record('a'), record('b'), record('c')]
  const { held, exchange, network } = await net.add('asker', [one])
  const other = await net.add('other', [one, two, three])
  await done(net, exchange.with('other'))
  same(t, held, [one, two, three])
  const before = network.traffic().received
  await done(net, exchange.with('other'))
  t.ok(network.traffic().received - before < 20, 'nothing is told twice')
  t.same(other.held.length, 3)
})

t.test('more than fits on a page comes page by page, in the order of the answerer', async (t) => {
  const net = world()
  const records = Array.from({ length: 2 * LIMITS.recordsPerPage + 10 }, (_, i) => record(`p${i % 20}`, i + 1))
  const { held, exchange, blamed } = await net.add('asker')
  await net.add('other', records)
  await done(net, exchange.with('other'))
  t.same(held.map(textOf), records.map(textOf))
  t.same(blamed, [])
})

t.test('pages stay below the limit of an answer, whatever the records weigh', async (t) => {
  const net = world()
  const records = Array.from({ length: 400 }, (_, i) => record(`p${i % 20}`, i + 1, LIMITS.recordBytes))
  const { held, exchange } = await net.add('asker')
  await net.add('other', records)
  await done(net, exchange.with('other'))
  t.equal(held.length, records.length)
})

t.test('with more records than fit into a request, two still come to hold the same', async (t) => {
  const net = world()
  const common = Array.from({ length: 4500 }, (_, i) => record(`p${i % 20}`, i + 1))
  const last = record('last')
  const { held, exchange, blamed } = await net.add('asker', [...common])
  await net.add('other', [...common, last])
  for (let i = 0; i < 10 && held.length === common.length; i++) await done(net, exchange.with('other'))
  t.equal(held.length, common.length + 1)
  t.same(blamed, [], 'what was not told to be held may be sent')
})

t.test('who sends what it was told is held, or nonsense, or too much, is blamed and not asked on', async (t) => {
  const net = world()
  const one = record('a')
  const { held, exchange, blamed } = await net.add('asker', [one])
  const parrot = await net.answering('parrot', () => ({ records: [signedMessage(one)], more: true }))
  await done(net, exchange.with('parrot'))
  t.same([blamed.splice(0), parrot.asked()], [['parrot'], 1])

  const flood = Array.from({ length: LIMITS.recordsPerPage + 1 }, (_, i) => signedMessage(record(`f${i % 10}`, i + 1)))
  const flooder = await net.answering('flooder', () => ({ records: flood, more: true }))
  await done(net, exchange.with('flooder'))
  t.same([blamed.splice(0), flooder.asked()], [['flooder'], 1])
  t.equal(held.length, 1 + LIMITS.recordsPerPage, 'no more than a page is looked at')

  const babbler = await net.add('babbler')
  babbler.network.serve(RECORDS_PROTOCOL, async () => Uint8Array.of(255, 255, 1))
  await done(net, exchange.with('babbler'))
  t.same(blamed.splice(0), ['babbler'])
})

t.test('one that always has more is asked for so many pages, and no more', async (t) => {
  const net = world()
  const { exchange } = await net.add('asker')
  const endless = await net.answering('endless', (asked) => ({ records: [signedMessage(record('a', asked + 1))], more: true }))
  await done(net, exchange.with('endless'))
  t.equal(endless.asked(), LIMITS.recordPages)
  const empty = await net.answering('empty', () => ({ records: [], more: true }))
  await done(net, exchange.with('empty'))
  t.equal(empty.asked(), 1)
})

t.test('what will never be taken is asked for once, until someone becomes a member', async (t) => {
  const net = world()
  let refused = 0
  const { exchange } = await net.add('asker', [], {
    take() {
      refused++
      return 'stale-round'
    },
  })
  await net.add('other', [record('a')])
  for (let i = 0; i < 3; i++) await done(net, exchange.with('other'))
  t.equal(refused, 1)
  exchange.reconsider()
  await done(net, exchange.with('other'))
  t.equal(refused, 2)
})

t.test('one member after the other is asked, so that a newcomer is told everything once', async (t) => {
  const net = world()
  const records = Array.from({ length: 100 }, (_, i) => record(`p${i % 10}`, i + 1))
  const { held, exchange, network } = await net.add('asker')
  for (let i = 0; i < 12; i++) await net.add(`other${i}`, [...records])
  await done(net, exchange.withAll())
  t.equal(held.length, 100)
  const size = records.reduce((sum, each) => sum + encodeSigned(each).length, 0)
  t.ok(network.traffic().received < 3 * size, `${network.traffic().received} bytes for ${size}`)
})

t.test('a peer that does not answer holds nobody up', async (t) => {
  const net = world()
  const { held, exchange } = await net.add('asker')
  const mute = await net.add('mute')
  mute.network.serve(RECORDS_PROTOCOL, () => new Promise(() => {}))
  await net.add('other', [record('a')])
  exchange.start()
  const both = Promise.all([exchange.with('mute'), exchange.with('other')])
  await done(net, both)
  t.equal(held.length, 1)
})

t.test('now and then someone is asked without a reason', async (t) => {
  const net = world()
  const { held, exchange } = await net.add('asker')
  await net.add('other', [record('a')])
  await net.clock.advance(10)
  exchange.start()
  t.equal(await net.clock.runUntil(() => held.length === 1, 31_000), true)
  exchange.stop()
})

t.test('whoever asks again and again is told to wait', async (t) => {
  const net = world()
  const { network } = await net.add('asker')
  await net.add('other', [record('a')])
  const body = toBinary(RecordsRequestSchema, create(RecordsRequestSchema, { task: task.id }))
  const ask = () => done(net, network.request('other', RECORDS_PROTOCOL, body))
  await t.rejects(
    (async () => {
      for (let i = 0; i < 1000; i++) await ask()
    })(),
    { code: 'peer-refused', message: /busy/ },
  )
  await net.clock.advance(2000)
  await ask()
})

t.test('a starting peer hears of its twin, and of nobody else’s', async (t) => {
  const net = world()
  const { exchange } = await net.add('asker')
  await net.add('sees-two', [], { network: { processes: async (peer) => (peer === 'asker' ? 2 : 1) } })
  await net.add('sees-one')
  t.equal(await done(net, exchange.isTwin('sees-two')), true)
  t.equal(await done(net, exchange.isTwin('sees-one')), false)
})

t.test('requests that are none are refused with a reason', async (t) => {
  const net = world()
  const { network } = await net.add('asker')
  await net.add('other')
  const other = toBinary(RecordsRequestSchema, create(RecordsRequestSchema, { task: sha256(new Uint8Array()) }))
  await t.rejects(done(net, network.request('other', RECORDS_PROTOCOL, other)), { code: 'peer-refused', message: /another task/ })
  await t.rejects(done(net, network.request('other', RECORDS_PROTOCOL, Uint8Array.of(255))), {
    code: 'peer-refused',
    message: /no request/,
  })
})
