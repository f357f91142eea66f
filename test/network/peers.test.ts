// A network of real processes over TCP: they train together, whatever two of them do.
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { REJECTIONS } from '../../protocol/rejections.ts'
import { network } from '../helpers/processes.ts'

t.setTimeout(300_000)

const ATTACKS = new Map([
  [4, 'nan'],
  [5, 'huge'],
])

t.test('peers that meet through one address train together to the end and write a model; NaN and huge values are counted', async (t) => {
  const { processes, dir } = await network(t, 5, 4, (i) =>
    ATTACKS.has(i) ? ['--misbehave', ATTACKS.get(i)!] : i === 1 ? ['--codec', 'float32'] : [],
  )
  const honest = processes.slice(0, 3)
  const finished = await Promise.all(honest.map((peer) => peer.event('finished')))
  for (const [i, { round, accuracy, model }] of finished.entries()) {
    t.equal(round, 4)
    t.ok((accuracy ?? 0) > 0.6, `peer ${i + 1} has learned: ${accuracy}`)
    t.equal(model, join(dir, String(i + 1), 'model.onnx'))
    t.ok(existsSync(model ?? ''))
  }
  const ready = await Promise.all(honest.map((peer) => peer.event('ready')))
  const isHonest = new Set(ready.map(({ peer }) => peer))
  for (const { events } of honest) {
    const used = events.filter((event) => event.type === 'aggregated')
    t.equal(used.length, 4)
    t.ok(used.every(({ f, inputs }) => f === 1 && inputs.length >= 3 && inputs.every(({ author }) => isHonest.has(author))))
    const rejected = events.filter((event) => event.type === 'rejected')
    for (const code of ['not-finite', 'out-of-bounds'])
      t.ok(
        rejected.some((event) => event.code === code),
        `${code} is counted`,
      )
    const accused = rejected.map(({ code, author, from }) => ({ author, forwarder: from, nobody: undefined })[REJECTIONS[code].fault])
    t.notOk(
      accused.some((peer) => peer !== undefined && isHonest.has(peer)),
      'nothing is held against an honest peer',
    )
  }
  t.equal((await stat(join(dir, '1', 'identity.key'))).mode & 0o777, 0o600)
})
