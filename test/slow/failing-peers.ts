// Networks of real processes over TCP, some of which are killed or stopped.
import { join } from 'node:path'
import t from 'tap'
import { murmur, network } from '../helpers/processes.ts'

t.setTimeout(300_000)

t.test('kill -9 of one: the others go on, and the same command brings it back as itself', async (t) => {
  const { processes, joinArguments } = await network(t, 4, 12)
  const victim = processes[2]!
  const { peer } = await victim.event('ready')
  await victim.event('aggregated', (event) => event.round === 2)
  victim.child.kill('SIGKILL')
  await victim.exit()
  const others = processes.filter((process) => process !== victim)
  const seen = Math.max(...others.map((process) => process.events.findLast((event) => event.type === 'aggregated')?.round ?? 0))
  await Promise.all(others.map((process) => process.event('aggregated', (event) => event.round > seen)))
  const back = murmur(t, joinArguments(3))
  const ready = await back.event('ready')
  t.equal(ready.peer, peer)
  t.equal(ready.resumed, true)
  await Promise.all([...others, back].map((process) => process.event('finished')))
  for (const process of [...others, back]) {
    t.notOk(
      process.events.some((event) => event.type === 'equivocation'),
      'nothing was signed twice',
    )
  }
})

t.test('a founder that dies is not missed', async (t) => {
  const { processes } = await network(t, 4, 6)
  const [founder, ...others] = processes
  await Promise.all(others.map((process) => process.event('aggregated', (event) => event.round === 2)))
  founder!.child.kill('SIGKILL')
  const finished = await Promise.all(others.map((process) => process.event('finished')))
  t.ok(finished.every((event) => event.round === 6))
})

t.test('Ctrl-C stops a peer within two seconds and says how to go on', async (t) => {
  const { processes, dir } = await network(t, 3, 50)
  await Promise.all(processes.map((process) => process.event('aggregated')))
  const asked = performance.now()
  processes[1]!.child.kill('SIGINT')
  t.equal(await processes[1]!.exit(10_000), 0)
  t.comment(`stopped after ${Math.round(performance.now() - asked)} ms`)
  t.match(processes[1]!.events.at(-1), { type: 'stopped', resume: `npx murmur start ${join(dir, '2')}` })
})
