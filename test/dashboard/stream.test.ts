// What a page is told: the whole at first, then each change once, also when it comes back; and what a restart remembers.
import t from 'tap'
import { countServed } from '../../node/dashboard/open.ts'
import { ROUNDS_KEPT, spreadOf } from '../../node/dashboard/rounds.ts'
import { createState, type DashboardState } from '../../node/dashboard/state.ts'
import { openAudit } from '../../node/store/audit.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { dashboard, member, peerName, roundEvents } from './stand-in.ts'

interface Message {
  id?: string
  event?: string
  data?: string
}

/** Reads a stream of server-sent events, message by message. */
async function* messagesOf(response: Response): AsyncGenerator<Message> {
  let text = ''
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    const messages = (text + part).split('\n\n')
    text = messages.pop()!
    for (const message of messages) {
      const fields = message.split('\n').flatMap((line) => {
        const [, name, value] = /^(id|event|data): (.*)$/.exec(line) ?? []
        return name === undefined ? [] : [[name, value]]
      })
      if (fields.some(([name]) => name === 'data')) yield Object.fromEntries(fields)
    }
  }
}

async function next(messages: AsyncGenerator<Message>): Promise<Message> {
  const { value, done } = await messages.next()
  if (done) throw new Error('the stream has ended')
  return value
}

t.test('a page gets the whole, then changes; one that comes back gets what it missed and nothing twice', async (t) => {
  const { note, show, shown, ask } = await dashboard(t)
  show(shown)
  for (const event of roundEvents(1, 3)) note(event)
  const away = new AbortController()
  const first = messagesOf(await ask('/events', { signal: away.signal }))
  const whole = await next(first)
  t.equal(whole.event, 'snapshot')
  const state = JSON.parse(whole.data!) as DashboardState
  t.strictSame(state.rounds.round, [0, 1])
  t.equal(state.inputs?.rows.length, 4)
  t.equal(state.served[peerName(1)], 300)
  t.strictSame(Object.keys(state.members), [peerName(1), peerName(2)])

  note({ type: 'phase', round: 2, phase: 'training' })
  note({ type: 'trained', round: 2, steps: 1, samples: 1, loss: 0.25, seconds: 1 })
  const changes = await next(first)
  t.match(JSON.parse(changes.data!), [{ set: 'phase', value: { round: 2 } }, { round: [2] }], 'gathered into one message')
  away.abort()
  await first.next().catch(() => {})

  note({ type: 'phase', round: 2, phase: 'gathering' })
  const stopping = new AbortController()
  const again = messagesOf(await ask('/events', { headers: { 'last-event-id': changes.id! }, signal: stopping.signal }))
  const missed = await next(again)
  t.equal(missed.event, undefined, 'no second snapshot')
  t.match(JSON.parse(missed.data!), [{ set: 'phase', value: { phase: 'gathering' } }])
  note({ type: 'phase', round: 2, phase: 'aggregating' })
  t.match(JSON.parse((await next(again)).data!), [{ set: 'phase', value: { phase: 'aggregating' } }])

  for (const id of ['nonsense', `${changes.id!.split('-')[0]}-999999`, '0123456789ab-1', changes.id!.replace(/-.*/, '-')]) {
    const other = messagesOf(await ask('/events', { headers: { 'last-event-id': id }, signal: stopping.signal }))
    t.equal((await next(other)).event, 'snapshot', `after "${id}" the whole again`)
  }
  stopping.abort()
})

t.test('what was missed is kept up to a bound; beyond it the whole comes again', async (t) => {
  const { note, ask } = await dashboard(t)
  const away = new AbortController()
  const first = messagesOf(await ask('/events', { signal: away.signal }))
  const { id } = await next(first)
  // A page that reads, so that each of these is a message of its own, 3 MB in all.
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 500; j++) note({ type: 'warning', code: 'internal', message: `${i} ${j} ${'x'.repeat(1950)}` })
    await next(first)
  }
  away.abort()
  const stopping = new AbortController()
  const again = messagesOf(await ask('/events', { headers: { 'last-event-id': id! }, signal: stopping.signal }))
  const { event, data } = await next(again)
  t.equal(event, 'snapshot')
  t.equal((JSON.parse(data!) as DashboardState).log.length, 200, 'and the log is bounded as well')
  stopping.abort()
})

t.test('members are told when they change, and when they are gone', async (t) => {
  const watched = createState({ rounds: [], rejections: [], happenings: [] })
  const look = (members: ReturnType<typeof member>[]) => watched.look({ members, protocols: {}, served: new Map() })
  const [a, b] = [member('a'), member('b')]
  t.equal(look([a, b]).length, 2)
  t.strictSame(look([a, b]), [], 'nothing is told twice')
  t.strictSame(look([{ ...a, round: 2 }]), [
    { put: 'members', key: 'a', value: { ...a, round: 2 } },
    { put: 'members', key: 'b', value: undefined },
  ])
})

t.test('peers that come under ever new names fill no memory: the oldest are let go, here and on the page', async (t) => {
  const { state, note, look } = createState({ rounds: [], rejections: [], happenings: [] })
  const { served, onServed } = countServed()
  const pulled = (i: number) => note({ type: 'received', round: 1, author: peerName(i), bytes: 1, from: [] }, 1)
  for (let i = 0; i < LIMITS.members; i++) pulled(i)
  t.strictSame(pulled(LIMITS.members), [
    { put: 'pulled', key: peerName(0), value: undefined },
    { put: 'pulled', key: peerName(LIMITS.members), value: { round: 1, from: [], bytes: 1 } },
  ])
  t.equal(pulled(1).length, 1, 'one that is known takes nobody else’s place')
  for (let i = 0; i < LIMITS.members; i++) onServed(peerName(i), 2)
  onServed(peerName(0), 3)
  look({ members: [], protocols: {}, served })
  onServed(peerName(LIMITS.members), 4)
  look({ members: [], protocols: {}, served })
  t.equal(served.size, LIMITS.members)
  t.strictSame(
    [0, 1, LIMITS.members].map((i) => served.get(peerName(i))),
    [5, undefined, 4],
  )
  t.equal(Object.keys(state.served).length, LIMITS.members)
  t.equal(Object.keys(state.pulled).length, LIMITS.members)
})

t.test("rounds are bounded, in order, and spreads are NumPy's percentiles", async (t) => {
  const { state, note } = createState({ rounds: [], rejections: [], happenings: [] })
  for (let round = 1; round <= ROUNDS_KEPT + 600; round++)
    note({ type: 'trained', round, steps: 1, samples: 1, loss: Number.NaN, seconds: 1 }, round)
  note({ type: 'evaluated', round: ROUNDS_KEPT + 599, split: 'validation', samples: 1, loss: 0.5 }, 1)
  const { round, trainLoss, loss } = state.rounds
  t.ok(round.length >= ROUNDS_KEPT && round.length <= ROUNDS_KEPT + 250)
  t.equal(round.at(-1), ROUNDS_KEPT + 600)
  t.ok(round.every((value, i) => i === 0 || value! === round[i - 1]! + 1))
  t.equal(loss.at(-2), 0.5)
  t.equal(trainLoss.at(-1), null, 'what is no number is a gap')
  // numpy.percentile([1, 2, 3, 4, 10], [10, 50, 90])
  const { low = 0, median, high = 0 } = spreadOf([10, 3, undefined, 1, Number.NaN, 4, 2])
  t.equal(median, 3)
  t.ok(Math.abs(low - 1.4) < 1e-12 && Math.abs(high - 7.6) < 1e-12)
  t.strictSame(spreadOf([undefined]), {})
})

t.test('others have told their accuracy of the model that a round began with: it belongs to the round before', async (t) => {
  const { state, note } = createState({ rounds: [], rejections: [], happenings: [] })
  const told = roundEvents(5, 3).find((event) => event.type === 'aggregated')!
  note(told, 1)
  t.strictSame(state.rounds.round, [4, 5])
  t.strictSame(
    state.rounds.othersMedian.map((value) => value !== null),
    [true, false],
  )
  t.strictSame(
    state.rounds.distanceMedian.map((value) => value !== null),
    [false, true],
  )
})

t.test('a restart remembers rounds, rejections and what happened; each input of an old round can be asked for', async (t) => {
  const dir = t.testdir()
  const audit = openAudit(dir, (message) => t.fail(message))
  for (const round of [1, 2, 3]) for (const event of roundEvents(round, 3)) audit.append(event, round)
  audit.append({ type: 'rejected', code: 'not-finite', author: peerName(2), round: 2 }, 5)
  audit.append({ type: 'rejected', code: 'not-finite', author: peerName(2), round: 3 }, 6)
  audit.append({ type: 'equivocation', author: peerName(1), round: 3 }, 7)
  audit.append({ type: 'warning', code: 'internal', message: 'careful' }, 8)
  audit.close()
  const { ask, warnings } = await dashboard(t, { dir })
  t.strictSame(warnings, [])
  const stopping = new AbortController()
  const { data } = await next(messagesOf(await ask('/events', { signal: stopping.signal })))
  stopping.abort()
  const state = JSON.parse(data!) as DashboardState
  t.strictSame(state.rounds.round, [1, 2, 3])
  t.strictSame(state.rounds.trainLoss, [2, 1, 2 / 3])
  t.strictSame(state.rejections, { 'not-finite': { count: 2, lastAt: 6 } })
  t.strictSame(state.accused, { [peerName(2)]: { 'not-finite': 2 } })
  t.strictSame(state.equivocations, { [peerName(1)]: { round: 3, at: 7 } })
  t.match(state.log.at(-1), { text: 'careful', kind: 'warn', at: 8 })
  const { rows } = (await (await ask('/rounds/2')).json()) as { rows: { author: string; why: string }[] }
  t.equal(rows.length, 4)
  t.equal(rows.find(({ author }) => author === peerName(0))?.why, 'trimmed')
  t.strictSame(await (await ask('/rounds/99')).json(), { round: 99, rows: [] })
})
