// Networks of real processes over TCP: they train together, whatever one of them does.
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { REJECTIONS } from '../../protocol/rejections.ts'
import { network } from '../helpers/processes.ts'

t.setTimeout(300_000)

t.test('peers that meet through one address train together to the end and write a model', async (t) => {
  const { processes, dir } = await network(t, 4, 4)
  const finished = await Promise.all(processes.map((peer) => peer.event('finished')))
  for (const [i, { round, accuracy, model }] of finished.entries()) {
    t.equal(round, 4)
    t.ok((accuracy ?? 0) > 0.6, `peer ${i + 1} has learned: ${accuracy}`)
    t.equal(model, join(dir, String(i + 1), 'model.onnx'))
    t.ok(existsSync(model ?? ''))
  }
  for (const peer of processes) {
    const used = peer.events.filter((event) => event.type === 'aggregated')
    t.equal(used.length, 4)
    t.ok(used.every((event) => event.inputs.length >= 3 && event.f === 1))
    t.same(
      peer.events.filter((event) => event.type === 'rejected' && REJECTIONS[event.code].fault !== 'nobody'),
      [],
      'nothing is held against anyone',
    )
  }
  t.equal((await stat(join(dir, '1', 'identity.key'))).mode & 0o777, 0o600)
})

t.test('attackers that send NaN and huge values are counted, and the rest learn', async (t) => {
  const attacks = new Map([
    [4, 'nan'],
    [5, 'huge'],
  ])
  const { processes } = await network(t, 5, 3, (i) =>
    attacks.has(i) ? ['--misbehave', attacks.get(i)!] : i === 1 ? ['--codec', 'float32'] : [],
  )
  const honest = processes.slice(0, 3)
  await Promise.all(honest.map((process) => process.event('finished')))
  for (const code of ['not-finite', 'out-of-bounds']) {
    t.ok(
      honest.every((process) => process.events.some((event) => event.type === 'rejected' && event.code === code)),
      `${code} is counted by every honest peer`,
    )
  }
})
