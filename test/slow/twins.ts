// One identity, two processes: a copied directory beside its live twin, and an old backup. Whoever comes second refuses before it signs,
// so that nobody is shut out.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { murmur, network, quick } from '../helpers/processes.ts'

t.setTimeout(300_000)

t.test('a copy of a directory refuses beside its live twin; an old one refuses because others know newer rounds of it', async (t) => {
  const rounds = 200
  const { processes, dir } = await network(t, 4, rounds)
  const twin = processes[2]!
  await twin.event('published', ({ round }) => round >= 2)
  const backup = join(dir, 'backup')
  const skip = (file: string) => !file.endsWith('.sock') && !file.endsWith('.lock')
  twin.child.kill('SIGSTOP')
  await cp(join(dir, '3'), backup, { recursive: true, filter: skip })
  twin.child.kill('SIGCONT')
  const { joinLine } = await processes[0]!.event('ready')
  const again = () => murmur(t, ['join', joinLine, '--dir', backup, ...quick('3/4')])

  const copy = again()
  t.not(await copy.exit(120_000), 0)
  t.match(copy.text(), /Another process runs with the identity of this peer|signed round \d+ before/)
  t.notOk(
    copy.events.some(({ type }) => type === 'published' || type === 'trained'),
    'nothing was trained or signed',
  )

  // The copy alone, after its twin has gone on.
  const { round } = twin.events.findLast((event) => event.type === 'published')!
  await twin.event('published', (event) => event.round > round + 1)
  twin.child.kill('SIGKILL')
  await twin.exit()
  const old = again()
  t.not(await old.exit(120_000), 0)
  t.match(old.text(), /signed round \d+ before/)
  t.notOk(old.events.some(({ type }) => type === 'published'))

  // The true directory goes on, as if nothing had been.
  const back = murmur(t, ['join', joinLine, '--dir', join(dir, '3'), ...quick('3/4')])
  await back.event('aggregated')
  for (const peer of [processes[0]!, processes[1]!, processes[3]!, back])
    t.notOk(
      peer.events.some(({ type }) => type === 'equivocation'),
      'nobody is shut out',
    )
  for (const { child, exit } of [...processes, back]) {
    child.kill('SIGKILL')
    await exit()
  }
})
