// What others can make a peer hold on a stream: requests that are too long, replies that nobody reads, frames of Yamux's without end.
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import t, { type Test } from 'tap'
import { deadline } from '../../node/host/deadline.ts'
import { framesOn } from '../../node/host/frames.ts'
import type { Node } from '../../node/host/libp2p-node.ts'
import { requestOver, serveStreams } from '../../node/host/requests.ts'
import { createServing } from '../../node/host/serving.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { systemClock } from '../../node/peer/clock.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { bareNode } from '../network/bare-node.ts'
import { uint32 } from '../network/libp2p-peers.ts'
import { createWatch, text, within } from '../network/recorder.ts'

const PROTOCOL = '/test/large/1'
const forever = new AbortController().signal

/** A node that serves on a clock of the test's, and others that are connected to it. */
async function scene(t: Test, askers: number) {
  const clock = createVirtualClock()
  const serving = createServing(clock)
  const node = await bareNode(t)
  serveStreams(node, PROTOCOL, serving, clock)
  const others = await Promise.all(Array.from({ length: askers }, () => bareNode(t)))
  for (const other of others) await other.dial(multiaddr(node.getMultiaddrs()[0]!.toString()))
  const open = (from: Node) => from.dialProtocol(peerIdFromString(node.peerId.toString()), PROTOCOL)
  const ask = (from: Node, length = 0) =>
    requestOver(from, node.peerId.toString(), PROTOCOL, new Uint8Array(length), { clock: systemClock, life: forever })
  return { clock, serving, others, open, ask }
}

t.test('replies that nobody reads: sixteen for one peer, then it is busy; others are answered, and in time all are let go', async (t) => {
  const { clock, serving, others, open, ask } = await scene(t, 2)
  const [slow, other] = others
  const { changed, until } = createWatch()
  const counted = { made: 0, done: 0 }
  serving.set(PROTOCOL, async () => {
    counted.made++
    changed()
    const done = () => {
      counted.done++
      changed()
    }
    return { parts: [new Uint8Array(LIMITS.responseBytes)], done }
  })
  for (let i = 0; i < LIMITS.requestsInFlight; i++) {
    const stream = await open(slow!)
    stream.pause()
    stream.send(uint32(0))
  }
  await until('as many replies', () => counted.made === LIMITS.requestsInFlight)
  await t.rejects(ask(slow!), { code: 'peer-refused', message: /too many answers are waiting/ })
  t.same(counted, { made: LIMITS.requestsInFlight, done: 0 })
  t.equal((await ask(other!)).length, LIMITS.responseBytes)
  await until('its reply to be let go', () => counted.done === 1)
  await clock.advance(40_000)
  await until('the others to be let go', () => counted.done === LIMITS.requestsInFlight + 1)
  t.equal((await ask(slow!)).length, LIMITS.responseBytes, 'it may ask again')
})

t.test('replies to strangers take no place of a member, and few of their own', async (t) => {
  const { serving, others, open, ask } = await scene(t, 2)
  const [outsider, member] = others
  serving.admit({ isMember: (peer) => peer === member!.peerId.toString(), open: new Set([PROTOCOL]) })
  const { changed, until } = createWatch()
  let made = 0
  serving.set(PROTOCOL, async () => {
    made++
    changed()
    return new Uint8Array(LIMITS.responseBytes)
  })
  for (let i = 0; i < 2; i++) {
    const stream = await open(outsider!)
    stream.pause()
    stream.send(uint32(0))
  }
  await until('two replies', () => made === 2)
  await t.rejects(ask(outsider!), { code: 'peer-refused', message: /too many answers are waiting/ })
  t.equal((await ask(member!)).length, LIMITS.responseBytes)
})

t.test('of a stranger no more is read than a request of its length: it is refused by the length that it announces', async (t) => {
  const { serving, others, open, ask } = await scene(t, 2)
  const [outsider, member] = others
  serving.admit({ isMember: (peer) => peer === member!.peerId.toString(), open: new Set([PROTOCOL]) })
  serving.set(PROTOCOL, async (body) => body)
  const stream = await open(outsider!)
  const frames = framesOn(stream, () => LIMITS.responseBytes)
  // Nothing follows, and nothing is waited for.
  stream.send(uint32(LIMITS.strangerRequestBytes + 1))
  const reply = await within('the refusal', frames.read(forever))
  t.match(text(reply), /has 1025 bytes; at most 1024 are accepted/)
  await t.rejects(within('the end', frames.read(forever)))
  t.equal((await ask(outsider!, LIMITS.strangerRequestBytes)).length, LIMITS.strangerRequestBytes)
  t.equal((await ask(member!, LIMITS.requestBytes)).length, LIMITS.requestBytes)
})

t.test('a frame of Yamux that promises gigabytes ends the connection long before', async (t) => {
  const { others, open } = await scene(t, 1)
  const stream = await open(others[0]!)
  const { changed, until } = createWatch()
  let isClosed = false
  stream.addEventListener('close', () => {
    isClosed = true
    changed()
  })
  const { sendFrame, streamId } = stream as unknown as { sendFrame(header: object, data: Uint8Array): boolean; streamId: number }
  // A frame of data whose header says 4 GiB less one byte; what follows is taken for its content.
  const piece = new Uint8Array(64 * 1024)
  let sent = 0
  sendFrame({ type: 0, flag: 0, streamID: streamId, length: 2 ** 32 - 1 }, piece)
  const muxer = others[0]!.getConnections()[0]! as unknown as { muxer: { send(data: Uint8Array): boolean } }
  const push = () => {
    if (isClosed || sent > 64 * 1024 * 1024) return changed()
    muxer.muxer.send(piece)
    sent += piece.length
    setImmediate(push)
  }
  push()
  await until('the end of the connection', () => isClosed)
  t.ok(sent <= 64 * 1024 * 1024, `${sent} bytes sent`)
})

t.test('what a process sleeps through is not charged to who answers it', (t) => {
  const timers: { at: number; fn: () => void }[] = []
  let now = 0
  const clock = {
    now: () => now,
    wall: () => now,
    after(millis: number, fn: () => void) {
      const timer = { at: now + millis, fn }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer), 1)
    },
  }
  /** Timers run `late` milliseconds after their time. */
  const run = (late: number) => {
    const [next] = timers.splice(0, 1)
    now = next!.at + late
    next!.fn()
  }
  const limit = deadline(clock, 5000)
  for (let i = 0; i < 4; i++) run(0)
  run(60_000)
  t.notOk(limit.signal.aborted, 'what came meanwhile is read first')
  run(0)
  t.equal(limit.why, 'timeout')
  const busy = deadline(clock, 5000)
  for (let i = 0; i < 100 && !busy.signal.aborted; i++) run(300)
  t.equal(busy.why, 'timeout', 'one that is always busy waits at some time no more')
  t.same(timers, [])
  t.end()
})
