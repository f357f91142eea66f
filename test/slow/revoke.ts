// Revoking an admin, by the real command: it says who falls with it, and they do.
import { join } from 'node:path'
import t from 'tap'
import { signerOf } from '../helpers/keys.ts'
import { murmur, quick, quickTask, temporaryFolder } from '../helpers/processes.ts'

t.setTimeout(120_000)

t.test('with an admin fall those whom it has let in: the command names them, and so does --json', async (t) => {
  const dir = temporaryFolder(t)
  const at = (name: string) => join(dir, name)
  const command = async (...args: string[]) => {
    const process = murmur(t, args)
    t.equal(await process.exit(), 0, process.text())
    return process.text()
  }
  const task = [...quickTask(2, 100_000), '--admission', 'invite', '--byzantine-share', '0']
  const founder = murmur(t, ['start', at('a'), ...task, ...quick('1/4')])
  await founder.event('ready')
  const line = (await command('invite', at('a'), '--role', 'admin')).trim()
  const admin = murmur(t, ['join', line, '--dir', at('b'), '--yes', ...quick('2/4')])
  const { peer } = await admin.event('ready')
  await founder.event('aggregated', ({ inputs }) => inputs.length === 2)
  const guest = signerOf('guest').peerId
  await command('invite', at('b'), '--peer', guest)
  await founder.event('member', (event) => event.peer === guest && event.member)

  const text = await command('revoke', at('a'), peer.slice(-8))
  t.match(text, new RegExp(`…${peer.slice(-8)} is revoked, for ever; all members are told`))
  t.match(text, new RegExp(`With that end the memberships signed there, of …${guest.slice(-8)}`))
  await founder.event('member', (event) => event.peer === guest && !event.member)
  t.equal(await admin.exit(), 1)
  t.match(admin.text(), /membership of this peer was revoked/)
  const again = JSON.parse(await command('revoke', at('a'), guest, '--json'))
  t.same(again, { revoked: [guest], ended: [], back: [] })
})
