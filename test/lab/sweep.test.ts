// A sweep: every combination once, typos told with their line, and a table that says what came of each.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { parseLabOptions } from '../../node/lab/run/index.ts'
import { cellId, combinations } from '../../node/lab/sweep/cells.ts'
import { parseGrid } from '../../node/lab/sweep/grid.ts'
import { type Outcome, type RunCell, readGrid, sweep, tableOf, tableTexts } from '../../node/lab/sweep/index.ts'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { temporaryFolder } from '../helpers/processes.ts'
import { resultOf } from './fake-lab.ts'

const grid = `name: try
options: { peers: 20, byzantine: 4, model: softmax }
grid:
  rule: [mean, median, "nnm | trimmed-mean"]
  attack: [none, sign-flip, alie]
  partition: [iid, "dirichlet:0.5"]
seeds: [1, 2]
`
const fake: RunCell = async (options) => resultOf(options)
const settings = (dir: string, run: RunCell = fake) => ({ dir, run, jobs: 3, signal: new AbortController().signal })
const rejected = async (promise: Promise<unknown>): Promise<MurmurError> => {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!isMurmurError(error)) throw error ?? new Error('nothing was thrown')
  return error
}

t.test('cells are the cartesian product of all axes, each combination once', async (t) => {
  const axis = fc.uniqueArray(fc.integer(), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), axis, { maxKeys: 4 }), (record) => {
      const axes = Object.entries(record).map(([key, values]) => ({ key, values }))
      const all = combinations(axes)
      const expected = axes.reduce((count, { values }) => count * values.length, 1)
      const isOne = (one: Record<string, unknown>) => axes.every(({ key, values }) => values.includes(one[key] as number))
      return all.length === expected && new Set(all.map((one) => JSON.stringify(one))).size === expected && all.every(isOne)
    }),
  )
  const { cells } = parseGrid(grid, 'g.yaml')
  t.equal(cells.length, 3 * 3 * 2 * 2)
  t.equal(new Set(cells.map(({ id }) => id)).size, cells.length)
  t.match(cells[0]!.options, { peers: 20, byzantine: 4, model: 'softmax', rule: 'mean', partition: 'iid', seed: 1 })
})

t.test("a cell's name is that of its options, in whatever order they are given", async (t) => {
  const options = fc.record({ peers: fc.integer({ min: 3, max: 50 }), rounds: fc.integer({ min: 1, max: 99 }), seed: fc.nat() })
  fc.assert(
    fc.property(options, fc.func(fc.integer()), (given, order) => {
      const parsed = parseLabOptions(given)
      const shuffled = Object.fromEntries(Object.entries(parsed).sort(([a], [b]) => order(a) - order(b)))
      const other = parseLabOptions({ ...given, seed: given.seed + 1 })
      return cellId(shuffled as unknown as typeof parsed) === cellId(parsed) && cellId(other) !== cellId(parsed)
    }),
  )
  t.match(cellId(parseLabOptions({})), /^[0-9a-f]{32}$/)
})

t.test('a typo is one sentence with its line and what was meant', async (t) => {
  const wrong: [from: string, to: string, sentence: RegExp][] = [
    ['grid:', 'gird:', /^g\.yaml line 3: there is no key "gird"\. Did you mean "grid"\?$/],
    ['model', 'modle', /^g\.yaml line 2: there is no option "modle"\. Did you mean "model"\?$/],
    ['rule:', 'rulle:', /^g\.yaml line 4: there is no option "rulle"\. Did you mean "rule"\?$/],
    ['rule:', 'zzzzzzzz:', /^g\.yaml line 4: there is no option "zzzzzzzz"\. Known are peers, byzantine, .*, seed\.$/],
    ['median', 'mediann', /^g\.yaml line 4: "mediann" is not a known aggregation rule; known are: mean, .* Did you mean "median"\?$/],
    ['nnm |', 'nm |', /^g\.yaml line 4: "nm" is not a known pre-aggregation.* Did you mean "nnm"\?$/],
    ['sign-flip', 'sing-flip', /^g\.yaml line 5: "sing-flip" is not a known attack.* Did you mean "sign-flip"\?$/],
    ['dirichlet', 'dirichet', /^g\.yaml line 6: --partition cannot be "dirichet:0\.5": give iid, .* Did you mean "dirichlet"\?$/],
    ['softmax', 'softmax, rounds: many', /^g\.yaml line 2: --rounds cannot be "many": give a number/],
    ['softmax', '[softmax]', /^g\.yaml line 2: options\.model: must be one value; lists go under "grid"\.$/],
    ['softmax', 'softmax, rule: mean', /^g\.yaml line 4: "rule" stands under "options" as well; keep one of the two\.$/],
    ['softmax', 'softmax, seed: 3', /^g\.yaml line 7: "seed" is an option as well; keep one of the two\.$/],
    ['[none, ', '[none, none, ', /^g\.yaml line 5: "none" is in the list of "attack" twice\.$/],
    ['[none, sign-flip, alie]', '[]', /^g\.yaml line 5: grid\.attack: must be a list of at least one value\.$/],
    ['[1, 2]', '[1, two]', /^g\.yaml line 7: seeds\.1: must be a whole number\.$/],
    ['name: try', 'name: ../try', /^g\.yaml line 1: name: must be of letters/],
    ['name: try', '', /^g\.yaml line \d: name: must be there, as a text\.$/],
    ['seeds: [1, 2]', 'table: { value: final.acuracy.mean }', /line 7: table\.value: .*Did you mean "final\.accuracy\.mean"\?$/],
    ['seeds: [1, 2]', 'table: { rows: rulle }', /^g\.yaml line 7: there is no option "rulle"\. Did you mean "rule"\?$/],
    ['seeds: [1, 2]', 'table: { rows: attack }', /^g\.yaml line 7: "attack" cannot be the rows and the columns\.$/],
    ['seeds: [1, 2]', 'table: { sheets: topology }', /line 7: "partition" varies in the grid; name it in the table, too\.$/],
    ['byzantine: 4', 'byzantine: 20', /^The cell .* cannot be: --byzantine cannot be 20 of 20 peers/],
    ['name: try', 'name: try: this', /^g\.yaml line 1: this is not YAML: /],
    ['name: try', 'name: *nothing', /^g\.yaml line \d: an alias leads nowhere/],
  ]
  for (const [from, to, sentence] of wrong) {
    const error = await rejected((async () => parseGrid(grid.replace(from, to), 'g.yaml'))())
    t.equal(error.code, 'bad-config')
    t.match(error.message, sentence, to)
  }
  for (const text of ['', '- a']) t.throws(() => parseGrid(text, 'g.yaml'), /must hold "key: value" lines/)
})

t.test('the grids of the evidence can be run as they are', async (t) => {
  const folder = new URL('../../scripts/evidence/grids/', import.meta.url)
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'))
  t.ok(files.length >= 3)
  for (const name of files) {
    const plan = await readGrid(fileURLToPath(new URL(name, folder)))
    t.equal(`${plan.name}.yaml`, name)
    t.same([plan.layout.rows, plan.layout.columns], ['rule', 'attack'])
  }
})

t.test('the table holds means over the seeds, the worst attack of each rule, and the best rule of each column in bold', async (t) => {
  const dir = temporaryFolder(t)
  const plan = parseGrid(grid, 'g.yaml')
  const run: RunCell = async (options) => {
    if (options.rule === 'median') throw new MurmurError('too-few-inputs', 'It needs <7> models | more.')
    if (options.rule.startsWith('nnm') && options.attack === 'alie' && options.seed === 2) throw new Error('out of luck')
    return resultOf(options)
  }
  const table = tableOf(plan, await sweep(plan, settings(dir, run)))
  t.same(table.columns, ['none', 'sign-flip', 'alie'])
  t.same(
    table.sheets.map(({ labels }) => labels),
    [{ partition: 'iid' }, { partition: 'dirichlet:0.5' }],
  )
  const [mean, median, nnm] = table.sheets[0]!.rows as [Row, Row, Row]
  type Row = (typeof table.sheets)[0]['rows'][0]
  t.ok(Math.abs(mean.cells[1]!.mean! - 0.873) < 1e-12, 'over both seeds')
  t.ok(Math.abs(mean.cells[1]!.spread! - 0.002 / Math.SQRT2) < 1e-12)
  t.same(mean.worst, { ...mean.cells[2], best: true })
  t.same(median.cells[0], { state: 'refused', why: 'It needs <7> models | more.' })
  t.match(nnm.cells[2], { state: 'failed', why: 'Unexpected failure: Error: out of luck.' })
  t.equal(nnm.worst, undefined, 'not all of its attacks were done')

  const texts = tableTexts(table, { plan, command: 'npx murmur lab sweep g.yaml' })
  const lines = texts['table.md']!.split('\n')
  t.same(lines.slice(0, 3), ['```sh', 'npx murmur lab sweep g.yaml', '```'])
  t.ok(lines.some((line) => line.includes('peers 20; byzantine 4; model softmax; seeds 1, 2;')))
  t.ok(lines.includes('### partition iid'))
  t.ok(lines.includes('| rule | none | sign-flip | alie | worst |'))
  t.ok(lines.includes('| mean | **90.3 ± 0.1** | **87.3 ± 0.1** | **84.3 ± 0.1** | **84.3 ± 0.1** |'))
  t.ok(lines.includes('| median | refused | refused | refused |  |'))
  t.ok(lines.includes('| nnm \\| trimmed-mean | 50.3 ± 0.1 | 47.3 ± 0.1 | failed |  |'))
  t.ok(lines.includes('- median: refused: It needs \\<7\\> models \\| more.'))

  const csv = texts['table.csv']!.split('\r\n')
  t.equal(csv[0], 'partition,rule,attack,state,final.accuracy.mean,spread,why')
  t.equal(csv.length, 1 + 2 * (3 * 3 + 1) + 1, 'a line for each cell, and for the worst of mean')
  t.ok(csv.includes('iid,median,none,refused,,,It needs <7> models | more.'))
  t.same(JSON.parse(texts['table.json']!).sheets, JSON.parse(JSON.stringify(table.sheets)))
  t.match(texts['table.html'], '&lt;7&gt;')
  t.notMatch(texts['table.html'], '<7>')
})

t.test('a table may lie along other options, where less may be better', async (t) => {
  const other = 'name: x\noptions: { rule: median }\ngrid: { rounds: [1, 2], attack: [sign-flip, alie], byzantine: 1 }\n'
  const plan = parseGrid(`${other}table: { rows: rounds, columns: rule, value: final.loss.mean }`, 'g.yaml')
  t.same(plan.layout.sheets, ['attack', 'byzantine'])
  const run: RunCell = async (options) => {
    const result = resultOf(options)
    result.final.loss.mean = options.rounds === 1 ? Number.NaN : 2
    return result
  }
  const { columns, sheets } = tableOf(plan, await sweep(plan, settings(temporaryFolder(t), run)))
  t.same(columns, ['median'])
  t.equal(sheets.length, 2)
  t.notOk(sheets[0]!.rows[0]!.cells[0]!.best, 'what diverged is no best')
  t.match(sheets[0]!.rows[1]!.cells[0], { mean: 2, best: true })
  const markdown = tableTexts({ columns, sheets }, { plan, command: 'x' })['table.md']!
  t.match(markdown, '| 1 | none | none |')
})

t.test('what ended is kept, what failed is tried again, and a damaged file counts as none', async (t) => {
  const dir = temporaryFolder(t)
  const plan = parseGrid(grid, 'g.yaml')
  let calls = 0
  const counting =
    (fails: (rule: string) => boolean): RunCell =>
    async (options) => {
      calls++
      if (fails(options.rule)) throw new MurmurError('training-diverged', 'The loss is NaN.')
      return resultOf(options)
    }
  const seen: number[] = []
  const first = await sweep(plan, {
    ...settings(
      dir,
      counting((rule) => rule === 'mean'),
    ),
    onCell: (_, __, { done }) => seen.push(done),
  })
  t.equal(calls, 36)
  t.same(
    seen,
    Array.from({ length: 36 }, (_, i) => i + 1),
  )
  t.equal([...first.values()].filter(({ state }) => state === 'failed').length, 12)
  const file = join(dir, 'cells', `${plan.cells.at(-1)!.id}.json`)
  t.match(JSON.parse(readFileSync(file, 'utf8')), { version: 1, state: 'done', options: { rule: 'nnm | trimmed-mean' } })
  writeFileSync(file, '{"version":1,"state":"done","result":')

  const kept: number[] = []
  const again = await sweep(plan, {
    ...settings(
      dir,
      counting(() => false),
    ),
    onStart: (count) => kept.push(count),
  })
  t.equal(calls, 36 + 12 + 1)
  t.same(kept, [23])
  t.ok([...again.values()].every(({ state }) => state === 'done'))
  await sweep(
    plan,
    settings(
      dir,
      counting(() => true),
    ),
  )
  t.equal(calls, 49, 'nothing was left to do')
  t.equal(readdirSync(join(dir, 'cells')).length, 36)
})

t.test('a stop leaves what had ended, and two sweeps do not share a directory', async (t) => {
  const dir = temporaryFolder(t)
  const plan = parseGrid(grid, 'g.yaml')
  const stopping = new AbortController()
  const ended: Outcome[] = []
  const run: RunCell = (options, { signal }) => {
    if (options.seed === 1) return fake(options, {})
    const { promise, reject } = Promise.withResolvers<never>()
    signal!.addEventListener('abort', () => reject(new MurmurError('cancelled', 'Stopped.')))
    return promise
  }
  const running = sweep(plan, {
    ...{ dir, run, jobs: 36, signal: stopping.signal },
    onCell(_, outcome) {
      if (ended.push(outcome) === 18) stopping.abort()
    },
    onStart: async () => t.match(await rejected(sweep(plan, settings(dir))), { code: 'directory-locked', message: /runs a sweep in/ }),
  })
  t.match(await rejected(running), { code: 'cancelled', message: 'The sweep was stopped with 18 of 36 cells done.' })
  t.equal(readdirSync(join(dir, 'cells')).length, 18)
})
