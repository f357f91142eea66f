// What every implementation of the network port promises. Run over libp2p and over the lab's bus.
import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Gate, Network } from '../../node/ports.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { bytes, type Recorder, record, text, within } from './recorder.ts'

const TOPIC = '/murmuration/1/conformance'

/** A peer that can be stopped and brought back as itself, at the same address. */
export interface Reviving {
  network: Network
  address: string
  /** A fresh network with the same identity and address, started. */
  revive(): Promise<Network>
}

export interface Harness {
  /** Started networks, each linked only with the one before and the one after; stopped with the test. */
  row(t: Test, count: number): Promise<Network[]>
  /** Started networks, all linked. */
  mesh(t: Test, count: number): Promise<Network[]>
  reviving(t: Test): Promise<Reviving>
}

export function networkConformance(t: Test, { row, mesh, reviving }: Harness): void {
  const subscribed = async (networks: Network[]) => Promise.all(networks.map((network) => record(network, TOPIC)))
  /** All know each other; in a row, neighbours do. */
  const met = async (recorders: Awaited<ReturnType<typeof subscribed>>, inRow = false) =>
    Promise.all(
      recorders.flatMap((a, i) => recorders.map((b, j) => a !== b && (!inRow || Math.abs(i - j) === 1) && a.peer(b.network.self))),
    )

  /**
   * Publishes until the last of a row hears the first: who forwards to whom is agreed on in the second after peers meet. Before that a message
   * may end with those who got it from its publisher.
   */
  const flowing = async (first: Recorder, last: Recorder) => {
    const heard = () => last.messages.some((message) => message.startsWith('probe'))
    for (let i = 0; !heard(); i++) {
      if (i === 300) throw new Error('nothing is forwarded')
      await first.network.publish(TOPIC, bytes(`probe${i}`))
      await Promise.race([last.until('a probe', heard).catch(() => {}), setTimeout(50)])
    }
  }
  const heardBy = ({ messages }: Recorder) => messages.filter((message) => !message.startsWith('probe'))

  t.test('a published message reaches every other subscriber once, and not its publisher', async (t) => {
    const recorders = await subscribed(await mesh(t, 5))
    await met(recorders)
    const recipients = await recorders[0]!.network.publish(TOPIC, bytes('m1 hello'))
    t.ok(recipients >= 1 && recipients <= 4, `${recipients} direct recipients`)
    await Promise.all(recorders.slice(1).map((recorder) => recorder.message('m1 hello')))
    await recorders[1]!.network.publish(TOPIC, bytes('m2 after'))
    await Promise.all(recorders.filter((_, i) => i !== 1).map((recorder) => recorder.message('m2 after')))
    for (const recorder of recorders.slice(1)) t.equal(recorder.messages.filter((message) => message === 'm1 hello').length, 1)
    t.notOk(recorders[0]!.messages.includes('m1 hello'))
  })

  t.test('an accepted message goes on to peers that its publisher does not know', async (t) => {
    const recorders = await subscribed(await row(t, 3))
    await met(recorders, true)
    await flowing(recorders[0]!, recorders[2]!)
    await recorders[0]!.network.publish(TOPIC, bytes('m1'))
    await recorders[2]!.message('m1')
    t.same(recorders[2]!.from.at(-1), recorders[1]!.network.self, 'it is handed over by a neighbour')
    t.notOk(recorders[0]!.network.peers().includes(recorders[2]!.network.self))
  })

  for (const verdict of ['ignore', 'reject'] as const) {
    t.test(`a message that a validator decides to ${verdict} is not forwarded`, async (t) => {
      const networks = await row(t, 3)
      const first = await record(networks[0]!, TOPIC)
      const middle = await record(networks[1]!, TOPIC, (message) => (message.startsWith('bad') ? verdict : 'accept'))
      const last = await record(networks[2]!, TOPIC)
      await met([first, middle, last], true)
      await flowing(first, last)
      await first.network.publish(TOPIC, bytes('bad1'))
      await middle.message('bad1')
      await first.network.publish(TOPIC, bytes('good'))
      await last.message('good')
      t.same(heardBy(last), ['good'])
    })
  }

  t.test('a validator that takes its time or fails lets nothing pass unjudged', async (t) => {
    const networks = await row(t, 3)
    const first = await record(networks[0]!, TOPIC)
    const { promise: judged, resolve: judge } = Promise.withResolvers<void>()
    const middle = await record(networks[1]!, TOPIC, async (message) => {
      if (message === 'throws') throw new Error('a defect in the validator')
      if (message === 'slow') await judged
      return 'accept' as const
    })
    const last = await record(networks[2]!, TOPIC)
    await met([first, middle, last], true)
    await flowing(first, last)
    await first.network.publish(TOPIC, bytes('throws'))
    await first.network.publish(TOPIC, bytes('slow'))
    judge()
    await last.message('slow')
    t.same(heardBy(last), ['slow'])
    t.same(heardBy(middle), ['throws', 'slow'])
  })

  t.test('two messages with one id are one message', async (t) => {
    const [a, b] = await subscribed(await mesh(t, 2))
    await met([a!, b!])
    await a!.network.publish(TOPIC, bytes('same first'))
    await b!.message('same first')
    t.equal(await a!.network.publish(TOPIC, bytes('same second')), 0)
    await a!.network.publish(TOPIC, bytes('other'))
    await b!.message('other')
    t.same(b!.messages, ['same first', 'other'])
  })

  t.test('a message at the limit arrives; one above it is refused before it is sent', async (t) => {
    const [a, b] = await subscribed(await mesh(t, 2))
    await met([a!, b!])
    const largest = bytes(`large ${'x'.repeat(LIMITS.gossipBytes - 6)}`)
    t.equal(largest.length, LIMITS.gossipBytes)
    await t.rejects(a!.network.publish(TOPIC, new Uint8Array(LIMITS.gossipBytes + 1)), {
      code: 'limit-exceeded',
      message: String(LIMITS.gossipBytes + 1),
    })
    t.equal(await a!.network.publish(TOPIC, largest), 1)
    await b!.message(text(largest))
    t.equal(b!.messages.length, 1)
  })

  t.test('publishing to nobody is no error', async (t) => {
    const [lonely] = await subscribed(await mesh(t, 1))
    t.equal(await lonely!.network.publish(TOPIC, bytes('m1')), 0)
  })

  t.test('requests and responses of any size up to the limits arrive whole', async (t) => {
    const [a, b] = await mesh(t, 2)
    let asked: { length: number; from: string } | undefined
    b!.serve('/test/size/1', async (body, from) => {
      asked = { length: body.length, from }
      const size = new DataView(body.buffer, body.byteOffset).getUint32(0)
      return Uint8Array.from({ length: size }, (_, i) => i % 251)
    })
    for (const size of [0, 1, LIMITS.chunkBytes, LIMITS.chunkBytes + 100, LIMITS.responseBytes]) {
      const body = new Uint8Array(LIMITS.requestBytes)
      new DataView(body.buffer).setUint32(0, size)
      const response = await a!.request(b!.self, '/test/size/1', body)
      t.equal(response.length, size)
      t.ok(response.every((byte, i) => byte === i % 251))
    }
    t.same(asked, { length: LIMITS.requestBytes, from: a!.self })
    b!.serve('/test/empty/1', async (body) => body)
    t.equal((await a!.request(b!.self, '/test/empty/1', new Uint8Array())).length, 0, 'a request may be empty')
  })

  t.test('many requests at once each get their own response', async (t) => {
    const [a, b] = await mesh(t, 2)
    b!.serve('/test/echo/1', async (body) => body)
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => a!.request(b!.self, '/test/echo/1', bytes(`${i}`))))
    t.same(
      answers.map(text),
      answers.map((_, i) => `${i}`),
    )
  })

  t.test('requests and responses above the limits are refused, and the peers go on', async (t) => {
    const [a, b] = await mesh(t, 2)
    let handled = 0
    b!.serve('/test/large/1', async () => {
      handled++
      return new Uint8Array(LIMITS.responseBytes + 1)
    })
    await t.rejects(a!.request(b!.self, '/test/large/1', new Uint8Array(LIMITS.requestBytes + 1)), { code: 'limit-exceeded' })
    t.equal(handled, 0)
    await t.rejects(a!.request(b!.self, '/test/large/1', new Uint8Array()), { code: 'peer-refused' })
    b!.serve('/test/large/1', async () => bytes('fine'))
    t.equal(text(await a!.request(b!.self, '/test/large/1', new Uint8Array())), 'fine')
  })

  t.test('a handler that refuses reaches the asker as peer-refused with its sentence; a defect tells nothing', async (t) => {
    const [a, b] = await mesh(t, 2)
    b!.serve('/test/refuse/1', async () => {
      throw new MurmurError('bad-argument', 'this peer works on another task')
    })
    b!.serve('/test/defect/1', async () => {
      throw new Error('secret detail at /home/someone')
    })
    b!.serve('/test/escape/1', async () => {
      throw new MurmurError('bad-argument', 'red \u001b[31m and a \n new line')
    })
    await t.rejects(a!.request(b!.self, '/test/refuse/1', new Uint8Array()), {
      code: 'peer-refused',
      message: 'this peer works on another task',
    })
    const defect = await a!.request(b!.self, '/test/defect/1', new Uint8Array()).catch((error: unknown) => error)
    t.match(defect, { code: 'peer-refused' })
    t.notMatch(String(defect), /secret|home/)
    const escaped = await a!.request(b!.self, '/test/escape/1', new Uint8Array()).catch((error: unknown) => error)
    t.notMatch(String(escaped), /\p{Cc}/u)
  })

  t.test('a protocol that is not served is refused', async (t) => {
    const [a, b] = await mesh(t, 2)
    await t.rejects(a!.request(b!.self, '/test/unknown/1', new Uint8Array()), { code: 'peer-refused' })
  })

  t.test('more requests than a peer is given are told that it is busy', async (t) => {
    const [a, b] = await mesh(t, 2)
    const { promise: free, resolve: release } = Promise.withResolvers<void>()
    b!.serve('/test/slow/1', async () => {
      await free
      return bytes('done')
    })
    const asked = Array.from({ length: 20 }, () => a!.request(b!.self, '/test/slow/1', new Uint8Array()))
    const refused = await within(
      'a refusal',
      Promise.any(
        asked.map((each) =>
          each.then(
            () => Promise.reject(),
            (error: unknown) => error,
          ),
        ),
      ),
    )
    t.match(refused, { code: 'peer-refused', message: /busy/ })
    release()
    const results = await Promise.allSettled(asked)
    t.equal(results.filter(({ status }) => status === 'fulfilled').length, 16)
  })

  t.test('a request that is not answered in time is peer-unreachable', async (t) => {
    const [a, b] = await mesh(t, 2)
    b!.serve('/test/never/1', () => new Promise(() => {}))
    await t.rejects(within('the timeout', a!.request(b!.self, '/test/never/1', new Uint8Array(), { timeout: 50 })), {
      code: 'peer-unreachable',
    })
  })

  t.test('a request to a peer that is not there is peer-unreachable', async (t) => {
    const [a] = await mesh(t, 1)
    const [b] = await mesh(t, 1)
    const { self } = b!
    await b!.stop()
    await t.rejects(within('the failure', a!.request(self, '/test/echo/1', new Uint8Array(), { timeout: 1000 })), {
      code: 'peer-unreachable',
    })
  })

  t.test('a request can be aborted, before and while it runs', async (t) => {
    const [a, b] = await mesh(t, 2)
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    b!.serve('/test/never/1', () => {
      begin()
      return new Promise(() => {})
    })
    await t.rejects(a!.request(b!.self, '/test/never/1', new Uint8Array(), { signal: AbortSignal.abort() }), { code: 'cancelled' })
    const controller = new AbortController()
    const asked = a!.request(b!.self, '/test/never/1', new Uint8Array(), { signal: controller.signal })
    await within('the handler', begun)
    controller.abort()
    await t.rejects(asked, { code: 'cancelled' })
  })

  t.test('a peer that dies while it answers is peer-unreachable at once', async (t) => {
    const [a, b] = await mesh(t, 2)
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    b!.serve('/test/never/1', () => {
      begin()
      return new Promise(() => {})
    })
    const asked = a!.request(b!.self, '/test/never/1', new Uint8Array(), { timeout: 60_000 })
    asked.catch(() => {})
    await within('the handler', begun)
    await b!.stop()
    await t.rejects(within('the failure', asked), { code: 'peer-unreachable' })
  })

  t.test('subscribers are told who comes and who goes', async (t) => {
    const networks = await mesh(t, 3)
    const [a, b, c] = await subscribed(networks)
    await met([a!, b!, c!])
    t.same(a!.network.peers().toSorted(), [b!.network.self, c!.network.self].toSorted())
    t.same(a!.network.connections().toSorted(), a!.network.peers().toSorted())
    await b!.network.stop()
    await Promise.all([a!.gone(b!.network.self), c!.gone(b!.network.self)])
    t.same(a!.network.peers(), [c!.network.self])
    t.same(
      b!.peerEvents.filter((event) => event.startsWith('-')),
      [],
      'who stops is told nothing any more',
    )
  })

  t.test('a connected peer that does not subscribe is a connection and no peer', async (t) => {
    const [a, b] = await mesh(t, 2)
    const recorder = await record(a!, TOPIC)
    t.same(recorder.network.connections(), [b!.self])
    t.same(recorder.network.peers(), [])
  })

  t.test('who is not a member is no peer: it is told nothing, not heard, and answered only what is open to all', async (t) => {
    const [a, b, stranger] = await mesh(t, 3)
    const gate: Gate = { isMember: (peer) => peer !== stranger!.self, open: new Set(['/test/open/1']) }
    for (const member of [a!, b!]) member.admit(gate)
    for (const protocol of ['/test/open/1', '/test/closed/1']) a!.serve(protocol, async (body) => body)
    const [first, second, outside] = await subscribed([a!, b!, stranger!])
    await met([first!, second!])
    await stranger!.publish(TOPIC, bytes('m1 from outside'))
    // On the same connection after it.
    t.equal(text(await stranger!.request(a!.self, '/test/open/1', bytes('x'))), 'x')
    await t.rejects(stranger!.request(a!.self, '/test/closed/1', bytes('x')), { code: 'peer-refused', message: /only members/ })
    await t.rejects(stranger!.request(a!.self, '/test/open/1', new Uint8Array(LIMITS.strangerRequestBytes + 1)), {
      code: 'peer-refused',
      message: /1025 bytes/,
    })
    t.equal(text(await b!.request(a!.self, '/test/closed/1', bytes('x'))), 'x')
    await a!.publish(TOPIC, bytes('m2 inside'))
    await second!.message('m2 inside')
    t.same([first!.messages, outside!.messages], [[], []])
    t.same([a!.peers(), b!.peers()], [[b!.self], [a!.self]])
  })

  t.test('strangers are answered a few times at once, then once a second', async (t) => {
    const [a, stranger] = await mesh(t, 2)
    a!.serve('/test/open/1', async (body) => body)
    a!.admit({ isMember: () => false, open: new Set(['/test/open/1']) })
    const ask = () => stranger!.request(a!.self, '/test/open/1', bytes('x')).then(text)
    const refused = await within(
      'a refusal',
      (async () => {
        for (;;) await ask()
      })().catch((error: unknown) => error),
    )
    t.match(refused, { code: 'peer-refused', message: /busy/ })
    const answered = async (): Promise<string> => ask().catch(answered)
    t.equal(await within('an answer after a while', answered()), 'x')
  })

  t.test('who becomes a member is a peer from then on; who is none any more loses its connection', async (t) => {
    const [a, b] = await mesh(t, 2)
    const members = new Set<string>()
    const gate: Gate = { isMember: (peer) => members.has(peer), open: new Set(['/test/open/1']) }
    a!.admit(gate)
    a!.serve('/test/open/1', async (body) => body)
    const [inside, newcomer] = await subscribed([a!, b!])
    await b!.request(a!.self, '/test/open/1', bytes('after the subscription'))
    t.same(a!.peers(), [])
    t.same(b!.peers(), [], 'who is no member is not told what a member subscribes to')
    members.add(b!.self)
    a!.admit(gate)
    await inside!.peer(b!.self)
    await newcomer!.peer(a!.self)
    await b!.publish(TOPIC, bytes('m1'))
    await inside!.message('m1')
    members.delete(b!.self)
    a!.admit(gate)
    await inside!.gone(b!.self)
    await newcomer!.gone(a!.self)
  })

  t.test('who is blamed again and again is not listened to any more, and others are', async (t) => {
    const [judge, liar, honest] = await mesh(t, 3)
    const recorders = await subscribed([judge!, liar!, honest!])
    await met(recorders)
    for (let i = 0; i < 5; i++) judge!.blame(liar!.self)
    judge!.blame(honest!.self)
    await liar!.publish(TOPIC, bytes('bad'))
    await honest!.publish(TOPIC, bytes('good'))
    await recorders[0]!.message('good')
    t.notOk(recorders[0]!.from.includes(liar!.self))
  })

  t.test('a peer runs once', async (t) => {
    const [a, b] = await mesh(t, 2)
    t.equal(await a!.processes(b!.self), 1)
    await b!.stop()
    t.equal(await a!.processes(b!.self), 0)
  })

  t.test('stop is clean and can be asked for twice; afterwards nothing can be sent', async (t) => {
    const [a, b] = await mesh(t, 2)
    await record(a!, TOPIC)
    await Promise.all([a!.stop(), a!.stop()])
    await a!.stop()
    t.same(a!.peers(), [])
    t.same(a!.connections(), [])
    await t.rejects(a!.publish(TOPIC, bytes('m1')), { code: 'cancelled' })
    await t.rejects(a!.request(b!.self, '/test/echo/1', new Uint8Array()), { code: 'cancelled' })
  })

  t.test('traffic grows by at least what was sent', async (t) => {
    const [a, b] = await mesh(t, 2)
    b!.serve('/test/large/1', async () => new Uint8Array(LIMITS.chunkBytes))
    const before = { a: a!.traffic(), b: b!.traffic() }
    await a!.request(b!.self, '/test/large/1', new Uint8Array(1000))
    const after = { a: a!.traffic(), b: b!.traffic() }
    for (const [grown, least] of [
      [after.a.received - before.a.received, LIMITS.chunkBytes],
      [after.b.sent - before.b.sent, LIMITS.chunkBytes],
      [after.a.sent - before.a.sent, 1000],
      [after.b.received - before.b.received, 1000],
    ] as const) {
      t.ok(grown >= least && grown < least * 1.2 + 5000, `${grown} for ${least}`)
    }
  })

  t.test('connect waits for a peer that comes up later and tells of each attempt', async (t) => {
    const { network, address, revive } = await reviving(t)
    await network.stop()
    const [a] = await mesh(t, 1)
    const retries: { attempt: number; wait: number; why: string }[] = []
    const { promise: tried, resolve: twice } = Promise.withResolvers<void>()
    const connected = a!.connect(address, {
      onRetry(attempt, wait, why) {
        retries.push({ attempt, wait, why })
        if (retries.length === 2) twice()
      },
    })
    await within('two attempts', tried)
    t.same(
      retries.map(({ attempt }) => attempt),
      [1, 2],
    )
    t.ok(retries.every(({ wait }) => wait >= 250 && wait <= 10_000))
    t.ok(
      retries.every(({ why }) => why.length > 3 && !why.includes('\n')),
      `such as: ${retries[0]?.why}`,
    )
    const revived = await revive()
    t.equal(await within('the connection', connected), revived.self)
    t.ok(a!.connections().includes(revived.self))
  })

  t.test('a peer that restarts is connected again, and gossip flows', async (t) => {
    const { network, address, revive } = await reviving(t)
    const [a] = await mesh(t, 1)
    await within('the connection', a!.connect(address))
    const mine = await record(a!, TOPIC)
    await record(network, TOPIC)
    await mine.peer(network.self)
    await network.stop()
    await mine.gone(network.self)
    mine.peerEvents.length = 0
    const revived = await record(await revive(), TOPIC)
    await mine.peer(revived.network.self)
    await revived.peer(a!.self)
    await mine.network.publish(TOPIC, bytes('m1'))
    await revived.message('m1')
  })

  t.test('connecting can be aborted, and ends when the network stops', async (t) => {
    const { network, address } = await reviving(t)
    await network.stop()
    const [a] = await mesh(t, 1)
    const controller = new AbortController()
    const { promise: tried, resolve: once } = Promise.withResolvers<void>()
    const first = a!.connect(address, { signal: controller.signal, onRetry: () => once() })
    first.catch(() => {})
    const second = a!.connect(address)
    second.catch(() => {})
    await within('an attempt', tried)
    controller.abort()
    await t.rejects(within('the end', first), { code: 'cancelled' })
    await a!.stop()
    await t.rejects(within('the end', second), { code: 'cancelled' })
  })

  t.test('an address that nobody could dial, and the own one, are refused at once', async (t) => {
    const [a] = await mesh(t, 1)
    for (const address of ['', 'nonsense', '/ip4/300.1.1.1/tcp/1', '/ip4/127.0.0.1/udp/4001', a!.addresses()[0]!]) {
      await t.rejects(a!.connect(address), { code: 'bad-join-line' })
    }
  })
}
