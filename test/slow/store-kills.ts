// `kill -9` of a process that does nothing but write a peer's directory, at random moments: what it was told is written is there, and whole.
import { readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { readHistory } from '../../node/store/history.ts'
import { openStore } from '../../node/store/store.ts'
import { createPrng } from '../../protocol/prng.ts'
import { CRASH_LAYOUT, paramsOf } from '../store/fixtures/crash-state.ts'
import { start } from '../store/fixtures/process.ts'

const KILLS = 22
/** Lines and milliseconds within which a kill falls: a write takes some ten milliseconds where the disk really syncs. */
const LINES = 7
const MILLIS = 20

t.test('killed at any moment, a directory holds a whole state no older than the last acknowledged write', async (t) => {
  const dir = t.testdir()
  const prng = createPrng('kills')
  let acknowledged = { trained: 0, announced: 0, aggregated: 0 }
  for (let kill = 0; kill < KILLS; kill++) {
    const writer = start(t, 'crash-writer.ts', dir)
    const lines: string[] = []
    for (let i = prng.int(LINES); i >= 0; i--) lines.push((await writer.line()) ?? 'ended')
    // Not a wait for anything: the moment of the kill is what is drawn.
    await delay(prng.next() * MILLIS)
    lines.push(...(await writer.kill()))
    for (const line of lines) {
      const [what = '', round = ''] = line.split(' ')
      if (!(what in acknowledged)) t.fail(line)
      acknowledged = { ...acknowledged, [what]: Number(round) }
    }

    const store = await openStore(dir, { layout: CRASH_LAYOUT, onWarning: (message) => t.fail(message) })
    const checkpoint = await store.loadCheckpoint()
    const announcement = await store.loadAnnouncement()
    const round = checkpoint?.round ?? 0
    const stage = checkpoint?.stage ?? 'aggregated'
    const since = 2 * round + (stage === 'aggregated' ? 1 : 0)
    const promised = Math.max(2 * acknowledged.trained, 2 * acknowledged.aggregated + 1)
    const failures: string[] = []
    if (since < promised) failures.push(`the checkpoint is of ${stage} ${round}, older than acknowledged`)
    if (checkpoint !== undefined) {
      if (!same(checkpoint.params, paramsOf(round, stage === 'aggregated' ? 1 : 0))) failures.push('the parameters are mixed')
      if (!same(checkpoint.optimizer, paramsOf(round, 2))) failures.push('the optimizer state is mixed')
      if (checkpoint.steps !== round) failures.push(`${checkpoint.steps} steps in round ${round}`)
    }
    if (announcement === undefined) {
      if (acknowledged.announced > 0) failures.push('the announcement is lost')
    } else {
      const announced = Buffer.from(announcement).readUInt32BE(0)
      const payload = await store.getObject(Buffer.from(announcement.subarray(4)).toString('hex'))
      if (announced < acknowledged.announced) failures.push(`the announcement is of round ${announced}`)
      if (payload?.length !== 5000) failures.push('the announced payload is lost')
      if (announced > round) failures.push('something was announced before its checkpoint')
    }
    await store.close()
    const left = [...(await readdir(dir)), ...(await readdir(`${dir}/objects`))].filter((name) => name.endsWith('.tmp'))
    if (left.length > 0) failures.push(`${left} is left over`)
    t.strictSame(failures, [], `kill ${kill + 1} after ${lines.at(-1)}`)
  }
  t.ok(acknowledged.aggregated > KILLS, `${acknowledged.aggregated} rounds survived ${KILLS} kills`)
  t.doesNotThrow(() => readHistory(dir), 'the history can be read')
})

const same = (x: Float32Array, y: Float32Array) =>
  Buffer.from(x.buffer, x.byteOffset, x.byteLength).equals(Buffer.from(y.buffer, y.byteOffset, y.byteLength))
