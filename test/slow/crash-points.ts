// `kill -9` at every point at which a running peer writes: the same directory then goes on as the same peer, and nothing is signed twice.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openStore } from '../../node/store/store.ts'
import { decodeGossip } from '../../protocol/gossip.ts'
import { openUpdate } from '../../protocol/update.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'
import { start } from '../store/fixtures/process.ts'
import { CRASH_SIZE, crashTask } from './fixtures/crash-task.ts'

t.setTimeout(240_000)

const FIXTURE = '../../slow/fixtures/crash-peer.ts'
/** Rounds of the first life, in which all kinds of write points come by. */
const ROUNDS = 4

t.test('a peer killed at any write point goes on where it was, keeps its optimizer state and signs nothing twice', async (t) => {
  const root = t.testdir({ peer: {} })
  const [dir, log] = [join(root, 'peer'), join(root, 'log')]
  const lines = async (word: string) =>
    (await readFile(log, 'utf8')).split('\n').flatMap((line) => (line.startsWith(`${word} `) ? line.slice(word.length + 1) : []))
  let life = 0

  /** Runs until killed at the point, or until it has aggregated some rounds; returns the last of those. */
  async function live(rounds: number, ...point: string[]): Promise<number> {
    const peer = start(t, FIXTURE, dir, log, String(life++), ...point)
    let round = 0
    for (let n = 0; n < rounds; n++) {
      const line = await peer.line()
      if (line === undefined) break
      round = Number(line.split(' ')[1])
    }
    await peer.kill()
    return round
  }

  await live(ROUNDS)
  const points = [...new Set(await lines('point'))].sort()
  const kinds = ['object', 'announcement', 'checkpoint.json', 'checkpoint-trained.safetensors', 'checkpoint-aggregated.safetensors']
  const everyRound = kinds.flatMap((kind) => ['create', 'write', 'sync', 'rename', 'renamed'].map((step) => `${step} ${kind}`))

  let reached = 0
  for (const point of points) {
    const before = (await lines('point')).filter((each) => each === point).length
    const round = await live(ROUNDS + 2, point, '2')
    const died = (await lines('point')).filter((each) => each === point).length - before === 2
    if (died || everyRound.includes(point)) t.ok(died, `killed at ${point}, after round ${round}`)
    const store = await openStore(dir, { layout: crashTask().layout, onWarning: (message) => t.fail(message) })
    const checkpoint = await store.loadCheckpoint()
    await store.close()
    t.ok((checkpoint?.round ?? 0) >= reached, `${point}: the checkpoint is of round ${checkpoint?.round}`)
    t.equal(checkpoint?.optimizer[0], checkpoint?.steps, `${point}: the optimizer state is that of the ${checkpoint?.steps} steps made`)
    reached = checkpoint?.round ?? 0
  }
  t.ok((await live(2)) > reached, 'after all that it goes on')
  t.same(await lines('warning'), [], 'no file was torn')

  const signed = new Map<number, Set<string>>()
  for (const hex of await lines('publish')) {
    const message = decodeGossip(Buffer.from(hex, 'hex'))
    if (typeof message === 'string' || message.type !== 'announcement') continue
    const update = openUpdate(message.record, { task: crashTask().id, codec: 'float32', length: CRASH_SIZE, verify: verifier })
    if (typeof update === 'string') return t.fail(update)
    t.equal(update.author, signerOf('a').peerId)
    signed.set(update.round, (signed.get(update.round) ?? new Set()).add(Buffer.from(sha256(update.signed)).toString('hex')))
  }
  t.ok(signed.size > points.length / 4, `${signed.size} rounds were signed in ${life} lives`)
  t.same(
    [...signed].filter(([, records]) => records.size > 1).map(([round]) => round),
    [],
    'one record a round',
  )
})
