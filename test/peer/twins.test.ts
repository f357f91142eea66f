// Before a peer signs: who is asked whether it runs twice, whom it believes, and how long it waits.
import t from 'tap'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import type { PeerParts } from '../../node/peer/parts.ts'
import { awaitNoTwin } from '../../node/peer/twins.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { taskOf } from '../helpers/task.ts'

type Answers = Record<string, boolean | 'mute' | (() => boolean)>

function look(answers: Answers, change: { isResuming?: boolean; liars?: number; minPeers?: number; twinCheck?: boolean } = {}) {
  const { isResuming = true, liars = 1, minPeers = 4, twinCheck } = change
  const clock = createVirtualClock()
  const pace = { minPeers, staleness: 2, gatherMinSeconds: 1, gatherMaxSeconds: 5, absentAfterSeconds: 3600 }
  const task = taskOf({ pace })
  const told: string[] = []
  const asked: string[] = []
  const stopping = new AbortController()
  let ended: 'safe' | MurmurError | undefined
  awaitNoTwin(
    {
      network: { connections: () => [...Object.keys(answers), 'stranger'] },
      members: { isMember: (peer: string) => peer !== 'stranger' },
      ...{ clock, task, ...(twinCheck !== undefined && { twinCheck }) },
    } as unknown as PeerParts,
    {
      isResuming,
      liars: () => liars,
      async isTwin(peer) {
        asked.push(peer)
        const answer = answers[peer]
        if (answer === 'mute' || answer === undefined) throw new MurmurError('peer-unreachable', 'no answer')
        return typeof answer === 'function' ? answer() : answer
      },
      tell: (what) => void told.push(what),
      signal: stopping.signal,
    },
  ).then(
    () => {
      ended = 'safe'
    },
    (error: MurmurError) => {
      ended = error
    },
  )
  return { clock, told, asked, answers, stop: () => stopping.abort(), ended: () => ended }
}

t.test('three members that see no other process are enough', async (t) => {
  const { clock, ended, asked } = look({ a: false, b: false, c: false, d: false })
  await clock.advance(1)
  t.equal(ended(), 'safe')
  t.same(asked, ['a', 'b', 'c'])
})

t.test('a peer that was used before and needs others waits for one of them, and says so', async (t) => {
  const { clock, ended, told, answers } = look({})
  await clock.advance(3_600_000)
  t.equal(ended(), undefined)
  t.match(told[0], /a member to say/)
  answers.a = 'mute'
  await clock.advance(10_000)
  t.equal(ended(), undefined, 'silence is no answer')
  answers.b = false
  await clock.advance(10_000)
  t.equal(ended(), 'safe')
})

t.test('what was never used has no twin; who needs no other goes on alone after a while', async (t) => {
  const fresh = look({}, { isResuming: false })
  await fresh.clock.advance(1)
  t.equal(fresh.ended(), 'safe')
  const solo = look({}, { minPeers: 1 })
  await solo.clock.advance(1000)
  t.equal(solo.ended(), undefined)
  await solo.clock.advance(5000)
  t.equal(solo.ended(), 'safe')
})

t.test('a twin that stays is an error that says what to do; one that ends is waited for', async (t) => {
  const stays = look({ a: true, b: true, c: true })
  await stays.clock.advance(20_000)
  t.equal(stays.ended(), undefined)
  t.match(stays.told[0], /another process .* to end/)
  await stays.clock.advance(20_000)
  t.match(stays.ended(), { code: 'identity-twin', message: /…a, …b, …c can see it \(3 of 3 members asked\). Stop one of them/ })
  let runs = true
  const ends = look({ a: () => runs, b: () => runs })
  await ends.clock.advance(5000)
  runs = false
  await ends.clock.advance(10_000)
  t.equal(ends.ended(), 'safe')
})

t.test('one that lies keeps nobody out for good while others deny it; alone it is named, and people decide', async (t) => {
  const denied = look({ liar: true, a: false, b: false, c: false })
  await denied.clock.advance(60_000)
  t.equal(denied.ended(), 'safe')
  const majority = look({ a: true, b: true, c: false, d: false })
  await majority.clock.advance(60_000)
  t.match(majority.ended(), { code: 'identity-twin' })
  const alone = look({ a: true, b: 'mute' })
  await alone.clock.advance(60_000)
  t.match(alone.ended(), {
    code: 'identity-twin',
    message: /…a can see it \(1 of 1 members asked\).*Only if you are sure .* --no-twin-check/,
  })
  const sure = look({ a: true }, { twinCheck: false })
  await sure.clock.advance(1)
  t.equal(sure.ended(), 'safe')
  t.same(sure.asked, ['a'], 'it was asked for what it knows of newer rounds')
})

t.test('a stopped peer asks nobody any more', async (t) => {
  const { clock, stop, ended } = look({})
  await clock.advance(1000)
  stop()
  await clock.advance(1000)
  t.equal(ended(), 'safe')
  t.equal(clock.pending(), 0)
})
