// Who is listened to, and how much each may do: exact by a virtual clock, bounded whoever asks.
import t from 'tap'
import { createReputation, GRAYLIST_SCORE } from '../../node/host/reputation.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { createRateLimit } from '../../node/rate-limit.ts'
import { LIMITS } from '../../protocol/limits.ts'

t.test('one mistake costs nobody anything; many in a row, being heard, for minutes and not for ever', async (t) => {
  const clock = createVirtualClock()
  const reputation = createReputation(clock)
  t.equal(reputation.score('a'), 0)
  for (let i = 0; i < 4; i++) reputation.blame('a')
  t.ok(reputation.isHeard('a'))
  reputation.blame('a')
  t.notOk(reputation.isHeard('a'))
  t.ok(reputation.isHeard('b'))
  await clock.advance(2 * 60_000)
  t.ok(reputation.isHeard('a'))
  for (let i = 0; i < 1000; i++) reputation.blame('a')
  await clock.advance(10 * 60_000)
  t.notOk(reputation.isHeard('a'))
  await clock.advance(5 * 60_000)
  t.ok(reputation.isHeard('a'), 'also whoever did it a thousand times')
  await clock.advance(24 * 3_600_000)
  t.equal(reputation.score('a'), 0)
})

t.test('a blame every few minutes, as the best of links may earn, never adds up', async (t) => {
  const clock = createVirtualClock()
  const reputation = createReputation(clock)
  for (let i = 0; i < 200; i++) {
    reputation.blame('a')
    await clock.advance(3 * 60_000)
    t.ok(reputation.isHeard('a'))
  }
})

t.test('strangers are not listened to once there is a gate, and members are as soon as they are', async (t) => {
  const reputation = createReputation(createVirtualClock())
  const members = new Set(['a'])
  t.ok(reputation.isHeard('b'))
  reputation.admit({ isMember: (peer) => members.has(peer), open: new Set() })
  t.same([reputation.isHeard('a'), reputation.isHeard('b')], [true, false])
  t.ok(reputation.score('b') < 10 * GRAYLIST_SCORE)
  members.add('b')
  t.ok(reputation.isHeard('b'))
})

t.test('however many are blamed, the last ones are remembered', async (t) => {
  const reputation = createReputation(createVirtualClock())
  for (let i = 0; i < 5; i++) reputation.blame('first')
  for (let i = 0; i <= LIMITS.members; i++) reputation.blame(`peer${i}`)
  t.equal(reputation.score('first'), 0)
  t.equal(reputation.score(`peer${LIMITS.members}`), -20)
})

t.test('a rate is a burst and then so much a second, for each apart', async (t) => {
  const clock = createVirtualClock()
  const limit = createRateLimit({ perSecond: 2, burst: 3, keys: 10 }, clock)
  const takes = (key: string, count: number) => Array.from({ length: count }, () => limit.take(key)).filter(Boolean).length
  t.equal(takes('a', 10), 3)
  t.equal(takes('b', 10), 3)
  await clock.advance(1000)
  t.equal(takes('a', 10), 2)
  await clock.advance(3_600_000)
  t.equal(takes('a', 10), 3)
  t.equal(limit.take('c', 4), false, 'more than ever fits')
  t.equal(limit.take('c', 3), true)
})

t.test('however many keys there are, memory is bounded, and who is at its limit is not forgotten for one that is not', async (t) => {
  const clock = createVirtualClock()
  const limit = createRateLimit({ perSecond: 1, burst: 1, keys: 4 }, clock)
  for (const key of ['a', 'b', 'c']) limit.take(key)
  await clock.advance(1000)
  limit.take('greedy')
  for (const key of ['d', 'e', 'f']) limit.take(key)
  t.equal(limit.take('greedy'), false)
})
