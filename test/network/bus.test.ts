// The lab's bus: the promises of every network, and its own: determinism, delays, partitions and loss.
import t, { type Test } from 'tap'
import { createBus } from '../../node/lab/bus.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { systemClock } from '../../node/peer/clock.ts'
import type { Clock } from '../../node/ports.ts'
import { createPrng } from '../../protocol/prng.ts'
import { networkConformance } from './conformance.ts'
import { bytes, record } from './recorder.ts'

const TOPIC = '/murmuration/1/bus'

/** The system's clock; on a bus nothing but its timers keeps the process alive. */
const liveClock: Clock = {
  ...systemClock,
  after(millis, fn) {
    const timer = setTimeout(fn, millis)
    return () => clearTimeout(timer)
  },
}

t.test('conformance', (t) => {
  const buses = new WeakMap<Test, ReturnType<typeof createBus>>()
  const busOf = (t: Test) => {
    const bus = buses.get(t) ?? createBus({ clock: liveClock })
    buses.set(t, bus)
    return bus
  }
  let count = 0
  const started = async (t: Test, name = `peer${count++}`) => {
    const network = busOf(t).network(name)
    await network.start()
    t.teardown(() => network.stop())
    return network
  }
  const mesh = (t: Test, size: number) => Promise.all(Array.from({ length: size }, () => started(t)))
  networkConformance(t, {
    mesh,
    async row(t, size) {
      const networks = await mesh(t, size)
      for (const [i, a] of networks.entries()) for (const b of networks.slice(i + 2)) busOf(t).cut(a.self, b.self)
      return networks
    },
    async reviving(t) {
      const network = await started(t)
      return { network, address: network.addresses()[0]!, revive: () => started(t, network.self) }
    },
  })
  t.end()
})

/** Ten peers that gossip under a virtual clock, with delays and loss; what everyone saw and when. */
async function scenario(seed: number): Promise<string[]> {
  const clock = createVirtualClock()
  const prng = createPrng(seed)
  const bus = createBus({ clock, delayMillis: () => 5 + prng.int(100), random: prng.next })
  bus.lose(({ kind }) => kind === 'gossip' && prng.next() < 0.3)
  const log: string[] = []
  const networks = Array.from({ length: 10 }, (_, i) => bus.network(`p${i}`))
  for (const network of networks) {
    await network.start()
    await network.subscribe(TOPIC, {
      messageId: (message) => message,
      validate(message, from) {
        log.push(`${clock.now()} ${network.self} ${message.join(' ')} from ${from}`)
        return 'accept'
      },
      onPeer: (peer) => log.push(`${clock.now()} ${network.self} meets ${peer}`),
    })
    network.serve('/test/echo/1', async (body) => body)
  }
  for (let i = 0; i < 20; i++) {
    const network = networks[prng.int(10)]!
    await network.publish(TOPIC, Uint8Array.of(i))
    network.request(networks[prng.int(10)]!.self, '/test/echo/1', Uint8Array.of(i), { timeout: 100 }).then(
      (answer) => log.push(`${clock.now()} ${network.self} answered ${answer[0]}`),
      (error: Error) => log.push(`${clock.now()} ${network.self} ${error.message}`),
    )
    await clock.advance(prng.int(50))
  }
  await clock.advance(10_000)
  return log
}

t.test('under a virtual clock a run is the same each time, to the millisecond', async (t) => {
  const first = await scenario(7)
  t.ok(first.length > 200)
  t.same(await scenario(7), first)
  t.notSame(await scenario(8), first)
})

t.test('a message takes as long as its links', async (t) => {
  const clock = createVirtualClock()
  const bus = createBus({ clock, delayMillis: (from, to) => Number(from.slice(1)) + Number(to.slice(1)) })
  const networks = [bus.network('p10'), bus.network('p20'), bus.network('p300')]
  const seen: Record<string, number> = {}
  for (const network of networks) {
    await network.start()
    await network.subscribe(TOPIC, {
      messageId: (message) => message,
      validate() {
        seen[network.self] = clock.now()
        return 'accept'
      },
    })
  }
  await networks[0]!.publish(TOPIC, bytes('m1'))
  await clock.advance(1000)
  t.same(seen, { p20: 30, p300: 310 })
  networks[1]!.serve('/test/echo/1', async (body) => body)
  const asked = networks[0]!.request('p20', '/test/echo/1', new Uint8Array())
  const before = clock.now()
  let answered: number | undefined
  asked.then(() => {
    answered = clock.now() - before
  })
  await clock.advance(1000)
  t.equal(answered, 60)
})

t.test('a partition keeps messages, requests and peers apart until it heals', async (t) => {
  const clock = createVirtualClock()
  const bus = createBus({ clock, delayMillis: 10 })
  const recorders = []
  for (const name of ['a', 'b', 'c', 'd']) {
    const network = bus.network(name)
    await network.start()
    recorders.push(await record(network, TOPIC))
  }
  await clock.advance(100)
  const [a, b, c, d] = recorders
  const pending = a!.network.request('c', '/test/never/1', new Uint8Array())
  pending.catch(() => {})
  bus.partition([['a', 'b']])
  await t.rejects(pending, { code: 'peer-unreachable', message: /link was lost/ })
  await clock.advance(100)
  t.same(a!.network.peers(), ['b'])
  t.same(d!.network.peers(), ['c'])
  t.ok(c!.peerEvents.includes('-a') && c!.peerEvents.includes('-b') && !c!.peerEvents.includes('-d'))
  await a!.network.publish(TOPIC, bytes('m1'))
  await t.rejects(a!.network.request('c', '/test/echo/1', new Uint8Array()), { code: 'peer-unreachable' })
  await clock.advance(100)
  t.same([b!.messages, c!.messages, d!.messages], [['m1'], [], []])
  bus.heal()
  await clock.advance(100)
  t.same(a!.network.peers(), ['b', 'c', 'd'])
  await c!.network.publish(TOPIC, bytes('m2'))
  await clock.advance(100)
  t.same([a!.messages, b!.messages, d!.messages], [['m2'], ['m1', 'm2'], ['m2']])
})

t.test('what is lost does not arrive, and another neighbour may still bring it', async (t) => {
  const clock = createVirtualClock()
  const bus = createBus({ clock, delayMillis: 10 })
  const recorders = []
  for (const name of ['a', 'b', 'c']) {
    const network = bus.network(name)
    await network.start()
    recorders.push(await record(network, TOPIC))
  }
  const [a, b, c] = recorders
  bus.lose(({ from, to }) => from === 'a' && to === 'c')
  await a!.network.publish(TOPIC, bytes('m1'))
  await clock.advance(100)
  t.same(b!.from, ['a'])
  t.same(c!.from, ['b'])
  bus.lose(({ kind }) => kind === 'response')
  b!.network.serve('/test/echo/1', async (body) => body)
  const asked = a!.network.request('b', '/test/echo/1', new Uint8Array(), { timeout: 500 })
  asked.catch(() => {})
  await clock.advance(499)
  await clock.advance(1)
  await t.rejects(asked, { code: 'peer-unreachable' })
  bus.lose()
  const again = a!.network.request('b', '/test/echo/1', bytes('x'))
  await clock.advance(100)
  t.same(await again, bytes('x'))
})

t.test('one peer runs once on a bus', async (t) => {
  const bus = createBus({ clock: createVirtualClock() })
  const first = bus.network('a')
  await first.start()
  await first.start()
  await t.rejects(bus.network('a').start(), { code: 'port-in-use' })
  await first.stop()
  await bus.network('a').start()
})

t.test('the virtual clock', async (t) => {
  t.test('runs what falls due in order of time, then of asking', async (t) => {
    const clock = createVirtualClock(1_000_000)
    const ran: string[] = []
    const cancel = clock.after(20, () => ran.push('cancelled'))
    clock.after(30, () => ran.push('c'))
    clock.after(10, () => {
      ran.push(`a at ${clock.now()}`)
      clock.after(5, () => ran.push(`nested at ${clock.now()}`))
    })
    clock.after(30, () => ran.push('d'))
    clock.after(10, () => ran.push('b'))
    cancel()
    cancel()
    t.equal(clock.pending(), 4)
    await clock.advance(29)
    t.same(ran, ['a at 10', 'b', 'nested at 15'])
    t.equal(clock.now(), 29)
    t.equal(clock.wall(), 1_000_029)
    await clock.advance(1)
    t.same(ran.slice(3), ['c', 'd'])
    t.equal(clock.pending(), 0)
  })

  t.test('many timers, set and cancelled at random, run in order', async (t) => {
    const clock = createVirtualClock()
    const prng = createPrng(3)
    const expected: [number, number][] = []
    const ran: [number, number][] = []
    for (let i = 0; i < 500; i++) {
      const at = prng.int(100)
      const cancel = clock.after(at, () => ran.push([clock.now(), i]))
      if (prng.next() < 0.3) cancel()
      else expected.push([at, i])
    }
    await clock.advance(100)
    t.same(
      ran,
      expected.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]),
    )
  })

  t.test('lets promises settle before time goes on', async (t) => {
    const clock = createVirtualClock()
    const times: number[] = []
    const sleep = (millis: number) => new Promise<void>((resolve) => clock.after(millis, resolve))
    const walk = async () => {
      for (let i = 0; i < 5; i++) {
        await sleep(10)
        await Promise.resolve()
        times.push(clock.now())
      }
    }
    const walked = walk()
    t.equal(await clock.runUntil(() => times.length === 3), true)
    t.equal(clock.now(), 30)
    t.equal(await clock.runUntil(() => times.length === 5, 5), false)
    t.equal(clock.now(), 35)
    await clock.advance(100)
    await walked
    t.same(times, [10, 20, 30, 40, 50])
  })

  t.test('stands still while real work goes on', async (t) => {
    const clock = createVirtualClock()
    const ran: string[] = []
    clock.after(10, () => {
      const work = new Promise<void>((resolve) => setTimeout(resolve, 5))
      clock.hold(work).then(() => ran.push(`work at ${clock.now()}`))
    })
    clock.after(11, () => ran.push('later'))
    await clock.advance(20)
    t.same(ran, ['work at 10', 'later'])
  })
})
