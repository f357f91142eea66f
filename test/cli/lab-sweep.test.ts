// `murmur lab sweep` as a command, with the real lab: what it prints, writes, and ends with.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { mistakes, run } from '../helpers/commands.ts'
import { temporaryFolder } from '../helpers/processes.ts'

const entry = fileURLToPath(new URL('../../node/murmur.mjs', import.meta.url))
const grid = `
name: quick
options: { peers: 4, byzantine: 1, model: softmax, rounds: 1, steps: 2 }
grid: { rule: [trimmed-mean, bulyan], attack: [sign-flip] }
`

t.test('runs the cells, writes the table, and a second time has nothing to do', async (t) => {
  const dir = temporaryFolder(t, { 'grid.yaml': grid })
  const sweep = () => run(['lab', 'sweep', join(dir, 'grid.yaml'), '--out', join(dir, 'out'), '--jobs', '1', '--json'])
  const first = await sweep()
  t.equal(first.code, 0, first.err)
  const events = first.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.same(
    events.map(({ type }) => type),
    ['start', 'cell', 'cell', 'end'],
  )
  t.match(events[0], { name: 'quick', cells: 2, kept: 0 })
  const cells = new Map(events.slice(1, 3).map((event) => [event.rule, event]))
  t.match(cells.get('bulyan'), { state: 'refused', attack: 'sign-flip', total: 2, why: /needs at least 7 models/ })
  t.match(cells.get('trimmed-mean'), { state: 'done', seed: 1, id: /^[0-9a-f]{32}$/ })
  t.ok(cells.get('trimmed-mean').value > 0)
  const table = readFileSync(join(dir, 'out', 'table.md'), 'utf8')
  t.match(table, /^\| bulyan \| refused \|/m)
  t.match(table, /^\| trimmed-mean \| \*\*\d+\.\d\*\* \|/m)
  t.notMatch(table, dir, "no path of this machine's")

  const second = await sweep()
  t.match(JSON.parse(second.out.split('\n')[0]!), { type: 'start', cells: 2, kept: 2 })
  t.equal(second.out.trim().split('\n').length, 2)
  t.equal(readFileSync(join(dir, 'out', 'table.md'), 'utf8'), table)
})

t.test('a cell that fails does not stop the others; the exit code tells', async (t) => {
  const dir = temporaryFolder(t, { 'grid.yaml': grid.replace('bulyan', 'median').replace('attack: [sign-flip]', 'data: [./nowhere]') })
  const { code, out, err } = await run(['lab', 'sweep', join(dir, 'grid.yaml'), '--out', join(dir, 'out')])
  t.equal(code, 1)
  t.match(err, /^murmur: 2 of 2 cells failed; the same command tries them again\. The first one: .*nowhere.*\n$/)
  t.match(out, /^2\/2 {2}rule .*: failed: /m)
  t.match(readFileSync(join(dir, 'out', 'table.md'), 'utf8'), /^\| median \| failed \|/m)
})

t.test('Ctrl-C ends it with 130 and the way to go on', async (t) => {
  const dir = temporaryFolder(t, { 'grid.yaml': grid })
  const args = [entry, 'lab', 'sweep', join(dir, 'grid.yaml'), '--out', join(dir, 'out'), '--json']
  const child: ChildProcess = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stderr!.on('data', (text: Buffer) => {
    said += text
  })
  await once(createInterface({ input: child.stdout! }), 'line')
  child.kill('SIGINT')
  const [code] = (await once(child, 'close')) as [number]
  t.equal(code, 130)
  t.match(said, /The sweep was stopped with \d of 2 cells done\. The same command goes on from there\.\n$/)
})

t.test('refuses what cannot be in one sentence', async (t) => {
  const dir = temporaryFolder(t)
  const typo = join(dir, 'typo.yaml')
  writeFileSync(typo, grid.replace('bulyan', 'bulian'))
  await mistakes(t, [
    [['lab', 'sweep', typo], /line 4: "bulian" is not a known aggregation rule; .* Did you mean "bulyan"\?/],
    [['lab', 'sweep', join(dir, 'none.yaml')], /none\.yaml does not exist; give a grid file\./],
    [['lab', 'sweep', dir], /cannot be read/],
  ])
})
