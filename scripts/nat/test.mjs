// Two peers behind two routers that let nothing in train together, through a third that both can reach: real `murmur` processes in network
// namespaces. Then one home is cut off and comes back, and then gets another address, and the rounds go on.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createLab, whyNot } from './lab.mjs'

const ROUNDS = 40
const PORT = 4001
/** Rounds after which a home is cut off, and moved. */
const CUT_AFTER = 3
const MOVE_AFTER = 15
/** Reports (one in 2 s) of the same round that show that a home is cut off. */
const STUCK_REPORTS = 4
const STEP_MILLIS = 120_000
const CONNECT_MILLIS = 3000

const entry = fileURLToPath(new URL('../../node/murmur.mjs', import.meta.url))
const missing = whyNot()
if (missing !== undefined) {
  console.error(`The NAT test cannot run here: ${missing}.`)
  process.exit(1)
}

const dir = mkdtempSync(join(tmpdir(), 'murmur-nat-'))
const children = new Set()
const lab = createLab()
process.once('SIGINT', () => end(130))
process.once('SIGTERM', () => end(143))

function end(code) {
  for (const child of children) child.kill('SIGKILL')
  lab.remove()
  rmSync(dir, { recursive: true, force: true })
  process.exit(code)
}

function check(what, holds) {
  if (!holds) throw new Error(what)
  console.log(`PASS ${what}`)
}

/** A peer in a namespace, watched through its JSON lines. */
function peer(label, namespace, args) {
  const common = ['--json', '--data', 'mnist', '--listen', `/ip4/0.0.0.0/tcp/${PORT}`, '--exit-when-finished']
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, entry, ...args, ...common], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  const events = []
  const waiting = new Set()
  let text = ''
  let code
  const wake = () => {
    for (const look of [...waiting]) look()
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) events.push(JSON.parse(line))
    wake()
  })
  child.stderr.setEncoding('utf8').on('data', (part) => {
    text += part
  })
  child.once('close', (status, signal) => {
    children.delete(child)
    code = status ?? signal
    wake()
  })
  const until = (what, look) =>
    new Promise((done, failed) => {
      const fail = (why) =>
        finish(() => failed(new Error(`${label}: ${what}: ${why}\n${JSON.stringify(events.slice(-5))}\n${text.slice(-2000)}`)))
      const timer = setTimeout(() => fail('not in time'), STEP_MILLIS)
      const finish = (settle) => {
        clearTimeout(timer)
        waiting.delete(see)
        settle()
      }
      const see = () => {
        const found = look(events)
        if (found !== undefined) finish(() => done(found))
        else if (code !== undefined && what !== 'its end') fail(`it ended (${code})`)
      }
      waiting.add(see)
      see()
    })
  return {
    label,
    events,
    event: (type, fits = () => true) => until(`the event ${type}`, () => events.find((event) => event.type === type && fits(event))),
    aggregated: (round) => until(`round ${round}`, () => events.find((event) => event.type === 'aggregated' && event.round >= round)),
    /** Resolves with what it waits for, once it has said so for a while and got nowhere. */
    stuck() {
      const from = events.length
      return until('a round that waits', () => {
        const reports = events.slice(from).filter(({ type }) => type === 'phase')
        const last = reports.slice(-STUCK_REPORTS)
        return last.length === STUCK_REPORTS && new Set(last.map(({ round }) => round)).size === 1 ? last.at(-1).waitingFor : undefined
      })
    },
    exit: () => until('its end', () => code),
  }
}

/** Whether a TCP connection from a namespace comes about. */
function reaches(namespace, host) {
  const script = `const s = require('net').connect(${PORT}, '${host}'); s.on('connect', () => process.exit(0)); s.on('error', () => process.exit(1)); setTimeout(() => process.exit(1), ${CONNECT_MILLIS})`
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', script], { stdio: 'ignore' })
  return new Promise((done) => child.once('close', (code) => done(code === 0)))
}

/** The last rounds in which a peer used another's update. */
const lastUse = (user, author) =>
  user.events.findLast((event) => event.type === 'aggregated' && event.inputs.some((input) => input.author === author && input.weight > 0))
    ?.round ?? 0

try {
  const homes = [lab.addHome('alice', 11), lab.addHome('bob', 12)]
  const task = [
    '--model',
    'softmax',
    '--min-peers',
    '3',
    '--rounds',
    String(ROUNDS),
    '--steps',
    '20',
    '--rule',
    'trimmed-mean',
    '--test-task',
  ]
  const pace = ['--gather-min-seconds', '1', '--gather-max-seconds', '15']
  const founder = peer('founder', lab.internet, ['start', join(dir, 'founder'), ...task, ...pace, '--shard', '1/3'])
  const { joinLine, addresses, peer: founderId } = await founder.event('ready')
  check('the first address told is the public one', addresses[0] === `/ip4/${lab.publicAddress}/tcp/${PORT}/p2p/${founderId}`)
  const [alice, bob] = homes.map((home, i) =>
    peer(['alice', 'bob'][i], home.name, ['join', joinLine, '--dir', join(dir, String(i)), '--shard', `${i + 2}/3`, '--yes']),
  )
  const [{ peer: aliceId }, { peer: bobId }] = await Promise.all([alice.event('ready'), bob.event('ready')])

  const [out, into, across] = await Promise.all([
    reaches(homes[0].name, lab.publicAddress),
    reaches(lab.internet, homes[0].publicAddress),
    reaches(homes[0].name, homes[1].publicAddress),
  ])
  check('a home reaches the internet, which does not reach a home; nor does one home the other', out && !into && !across)

  await Promise.all([alice, bob].map((each) => each.aggregated(CUT_AFTER)))
  check('two peers behind two routers use each other’s updates', lastUse(alice, bobId) > 0 && lastUse(bob, aliceId) > 0)

  homes[0].cut()
  check(`a home that is cut off says what it waits for: ${await alice.stuck()}`, true)
  homes[0].mend()
  await Promise.all([alice, bob].map((each) => each.aggregated(MOVE_AFTER)))
  check('once it is back, rounds go on', true)

  homes[0].move(21)
  const peers = [founder, alice, bob]
  await Promise.all(peers.map((each) => each.event('finished')))
  check('with another address too: all finish', true)
  check('and use each other’s updates to the end', lastUse(alice, bobId) >= ROUNDS - 1 && lastUse(bob, aliceId) >= ROUNDS - 1)
  check(
    'each ends by itself',
    (await Promise.all(peers.map((each) => each.exit()))).every((code) => code === 0),
  )
} catch (error) {
  console.error(`FAIL ${error.message}`)
  end(1)
}
end(0)
