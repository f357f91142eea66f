import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { lockDirectory } from '../../node/store/lock.ts'
import { start } from './fixtures/process.ts'

t.test('a second process is turned away with the directory and the id of the first', async (t) => {
  const dir = t.testdir()
  const holder = start(t, 'lock-holder.ts', dir)
  t.equal(await holder.line(), 'locked')
  await t.rejects(lockDirectory(dir), {
    code: 'directory-locked',
    message: `Another process (id ${holder.child.pid}) runs a peer in ${dir}; stop it, or use another directory.`,
  })
})

t.test('kill -9 frees the directory at once', async (t) => {
  const dir = t.testdir()
  const holder = start(t, 'lock-holder.ts', dir)
  t.equal(await holder.line(), 'locked')
  await holder.kill()
  const release = await lockDirectory(dir)
  await release()
})

t.test('of several processes that start at once exactly one gets the directory', async (t) => {
  for (let run = 0; run < 3; run++) {
    const dir = t.testdir()
    const children = Array.from({ length: 5 }, () => start(t, 'lock-holder.ts', dir))
    const answers = await Promise.all(children.map((child) => child.line()))
    t.equal(answers.filter((answer) => answer === 'locked').length, 1, 'one wins')
    t.equal(answers.filter((answer) => answer?.startsWith('directory-locked')).length, 4, 'all others are told')
    await Promise.all(children.map((child) => child.kill()))
  }
})

t.test('a lock left by a dead process whose id now belongs to a living one, as in containers, does not lock out', async (t) => {
  for (const id of [process.pid, process.ppid, 1]) {
    const dir = t.testdir({ lock: '', 'lock.pid': `${id} somewhere\n` })
    const release = await lockDirectory(dir)
    await release()
  }
})

t.test('one process cannot lock a directory twice, until it lets go of it', async (t) => {
  const dir = t.testdir()
  const release = await lockDirectory(dir)
  await t.rejects(lockDirectory(dir), { code: 'directory-locked', message: `id ${process.pid}` })
  await t.rejects(lockDirectory(join(dir, '.')), { code: 'directory-locked' }, 'nor by another path')
  await release()
  await release()
  const again = await lockDirectory(dir)
  await again()
})

t.test('a turned-away attempt does not loosen the lock', async (t) => {
  const dir = t.testdir()
  const release = await lockDirectory(dir)
  await t.rejects(lockDirectory(dir), { code: 'directory-locked' })
  t.match(await start(t, 'lock-holder.ts', dir).line(), /^directory-locked/)
  await release()
})

t.test('a directory that cannot be locked is told in one sentence', async (t) => {
  const dir = t.testdir({ file: 'not a directory' })
  await t.rejects(lockDirectory(join(dir, 'missing')), { code: 'disk-failed', message: `${dir}/missing cannot be locked` })
  await t.rejects(lockDirectory(join(dir, 'file')), { code: 'disk-failed' })
  await mkdir(join(dir, 'damaged'))
  await writeFile(join(dir, 'damaged', 'lock'), 'these are not the bytes of a lock file'.repeat(100))
  await t.rejects(lockDirectory(join(dir, 'damaged')), { code: 'disk-failed' })
})
