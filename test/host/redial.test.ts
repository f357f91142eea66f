// A link is kept up for life: again at once where it was good, with growing waits where it was not, and each failure is told.
import t from 'tap'
import { keepConnected } from '../../node/host/redial.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

/** A link that lasts as long as `lasts` says of each attempt; undefined: the dial fails. */
function link(lasts: (attempt: number) => number | undefined, isWanted = () => true) {
  const clock = createVirtualClock()
  const dials: number[] = []
  const told: { attempt: number; wait: number; why: string }[] = []
  const life = new AbortController()
  const connected = keepConnected(
    {
      async dial() {
        dials.push(clock.now())
        if (lasts(dials.length) === undefined) throw new Error('no way')
        return 'peer'
      },
      lost: () => new Promise((resolve) => void clock.after(lasts(dials.length) ?? 0, resolve)),
      isWanted,
    },
    { clock, random: () => 0.5, signal: life.signal, onRetry: (attempt, wait, why) => told.push({ attempt, wait, why }) },
  )
  connected.catch(() => {})
  return { clock, dials, told, life, connected }
}

t.test('a good link that is lost is dialled again at once, without a word', async (t) => {
  const { clock, dials, told } = link(() => 60_000)
  await clock.advance(150_000)
  t.equal(dials.length, 3)
  t.ok(dials[1]! - 60_000 < 200)
  t.same(told, [])
})

t.test('trap 14: who closes the connection as soon as it is there is not dialled without end, and it is said', async (t) => {
  const { clock, dials, told, connected } = link(() => 10)
  await clock.advance(60_000)
  t.equal(await connected, 'peer', 'the dial itself has succeeded')
  t.ok(dials.length < 20, `${dials.length} dials in a minute`)
  t.match(told, [
    { attempt: 2, why: /closes the connection at once: .* does not let this peer in; from now on it is tried ever more rarely/ },
  ])
  const before = dials.length
  await clock.advance(24 * 3600_000)
  t.ok(dials.length - before < 24 * 30, `${dials.length - before} dials in a day`)
  t.equal(told.length, 1, 'said once')
})

t.test('a link that is made anew once, as when a peer is admitted, is no news', async (t) => {
  const { clock, dials, told } = link((attempt) => (attempt === 1 ? 300 : 60_000_000))
  await clock.advance(3600_000)
  t.equal(dials.length, 2)
  t.ok(dials[1]! < 1000)
  t.same(told, [])
})

t.test('one that cuts a stranger off after its time does not let it in either', async (t) => {
  const { clock, dials, told } = link(() => LIMITS.strangerMillis)
  await clock.advance(3600_000)
  t.ok(dials.length < 30, `${dials.length} dials in an hour`)
  t.match(told, [{ why: /closes the connection after 10 s/ }])
})

t.test('who was turned out is left alone, which is said once, and dialled when it is wanted again', async (t) => {
  let isWanted = true
  const { clock, dials, told } = link(
    () => 60_000,
    () => isWanted,
  )
  await clock.advance(30_000)
  isWanted = false
  await clock.advance(3600_000)
  t.equal(dials.length, 1)
  t.match(told, [{ why: /turned out of the network/ }])
  isWanted = true
  await clock.advance(300_000)
  t.ok(dials.length > 1)
})

t.test('waits begin anew once a link was good', async (t) => {
  const { clock, told } = link((attempt) => (attempt < 5 ? undefined : attempt === 5 ? 25_000 : undefined))
  await clock.advance(60_000)
  t.same(
    told.slice(0, 5).map(({ attempt }) => attempt),
    [1, 2, 3, 4, 1],
  )
})

t.test('what cannot get better ends it, and so does its owner', async (t) => {
  const clock = createVirtualClock()
  const life = new AbortController()
  const lost = () => new Promise<void>(() => {})
  const dial = async () => {
    throw new MurmurError('bad-join-line', 'this is our own address')
  }
  await t.rejects(keepConnected({ dial, lost }, { clock, random: () => 0, signal: life.signal }), { code: 'bad-join-line' })
  const other = link(() => undefined)
  other.life.abort()
  await other.clock.advance(1000)
  await t.rejects(other.connected, { code: 'cancelled' })
  t.equal(other.clock.pending(), 0)
})
