// What a run leaves behind: files that a spreadsheet, a program and a browser can read, whatever its options are called.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { lineChart, ticksBetween } from '../../node/lab/report/chart.ts'
import { csv } from '../../node/lab/report/csv.ts'
import { writeReport } from '../../node/lab/report/index.ts'
import { html } from '../../node/lab/report/markup.ts'
import { parseLabOptions } from '../../node/lab/run/index.ts'
import { temporaryFolder } from '../helpers/processes.ts'
import { resultOf } from './fake-lab.ts'

const plain = parseLabOptions({ peers: 6, byzantine: 1, attack: 'backdoor', rule: 'nnm | trimmed-mean', rounds: 4 })

t.test('writes rounds.csv, result.json and plot.html, whole, into a directory that it makes', async (t) => {
  const dir = join(temporaryFolder(t), 'deep', 'down')
  const result = resultOf(plain)
  for (const record of result.rounds) record.success = 0.25
  result.final.success = 0.25
  t.same(
    await writeReport(dir, result),
    ['rounds.csv', 'result.json', 'plot.html'].map((name) => join(dir, name)),
  )
  await writeReport(dir, result)
  t.same(readdirSync(dir).sort(), ['plot.html', 'result.json', 'rounds.csv'], 'nothing temporary stays')
  const read = (name: string) => readFileSync(join(dir, name), 'utf8')
  t.same(JSON.parse(read('result.json')), result)
  const [head, ...rows] = read('rounds.csv').trim().split('\r\n')
  t.equal(
    head,
    'round,accuracy.mean,accuracy.worst,accuracy.best,accuracy.spread,loss.mean,loss.worst,disagreement,inputs,aggregated,attackersWeight,bytesReceived,virtualMillis,realMillis,success',
  )
  t.same(
    rows.map((row) => row.split(',')[0]),
    ['1', '2', '3', '4'],
  )
  const page = read('plot.html')
  t.equal(page.match(/<svg /g)?.length, 4)
  t.match(page, 'success, round 4: 25 %')
})

t.test('a page asks for nothing from elsewhere, and holds no markup of what was given', async (t) => {
  const dir = temporaryFolder(t)
  const evil = `"><script>alert('&')</script>`
  const result = { ...resultOf({ ...plain, model: evil, data: evil, attack: evil, rule: evil }), warnings: [evil] }
  await writeReport(dir, result)
  const page = readFileSync(join(dir, 'plot.html'), 'utf8')
  t.notMatch(page, /<script/i)
  t.match(page, '&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;')
  t.notMatch(page, /https?:|\bsrc=|<link|@import|url\(/i)
  for (const tag of ['html', 'body', 'svg', 'g', 'section', 'dl', 'p', 'text', 'title']) {
    const count = (pattern: RegExp) => page.match(pattern)?.length ?? 0
    t.equal(count(new RegExp(`<${tag}[ >]`, 'g')), count(new RegExp(`</${tag}>`, 'g')), tag)
  }
})

t.test('templates escape all text, and only text', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const { markup } = html`<b title="${text}">${html`<i>${text}</i>`}${[html`<u/>`]}</b>`
      const inside = markup
        .replace(/^<b title="/, '')
        .replace(/<\/b>$/, '')
        .replace(/">(?=<i>)/, '')
        .replace(/<i>|<\/i>|<u\/>/g, '')
      const back = inside.replace(
        /&(amp|lt|gt|quot|#39);/g,
        (entity) => ({ '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"' })[entity] ?? "'",
      )
      return !/[<>"']/.test(inside) && back === text + text
    }),
  )
  t.end()
})

t.test('fields of a CSV come back as they were', (t) => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      const line = csv([{ a, deep: { b } }]).slice('a,deep.b\r\n'.length, -2)
      const fields = [...line.matchAll(/(?<=^|,)(?:"((?:[^"]|"")*)"|([^,]*))(?=,|$)/gs)].map(([, quoted, bare]) =>
        quoted === undefined ? bare : quoted.replaceAll('""', '"'),
      )
      return fields.length === 2 && fields[0] === a && fields[1] === b
    }),
  )
  t.equal(csv([{ a: 1 }, { a: undefined, b: 'x,"y"' }]), 'a,b\r\n1,\r\n,"x,""y"""\r\n')
  t.end()
})

t.test('axes have a few round numbers, within their ends', (t) => {
  const value = fc.double({ noNaN: true, min: -1e9, max: 1e9 })
  fc.assert(
    fc.property(value, fc.double({ noNaN: true, min: 1e-3, max: 1e9 }), (low, length) => {
      const high = low + length
      fc.pre(length > Math.abs(low) * 1e-6)
      const ticks = ticksBetween(low, high, 4)
      const room = length * 1e-6
      return ticks.length >= 1 && ticks.length <= 6 && ticks.every((tick) => tick >= low - room && tick <= high + room)
    }),
  )
  t.same(ticksBetween(0, 1, 4), [0, 0.5, 1])
  t.same(ticksBetween(1, 20, 4), [5, 10, 15, 20])
  t.same(ticksBetween(3, 3, 4), [3])
  t.end()
})

t.test('what is not finite leaves a gap, and what spreads far is drawn logarithmically', (t) => {
  const draw = (values: number[]) =>
    lineChart([1, 2, 3], { title: 'x', series: [{ name: 'x', colour: 'a', values }], format: String, from: 0 }).markup
  t.equal(draw([1, Number.NaN, 3]).match(/<circle/g)?.length, 2)
  t.equal(draw([1, Number.NaN, 3]).match(/<path/g)?.length, 2)
  const heights = [...draw([0.01, 1, 100]).matchAll(/cy="([\d.]+)"/g)].map(([, y]) => Number(y)) as [number, number, number]
  t.ok(Math.abs(heights[0] - heights[1] - (heights[1] - heights[2])) < 0.3)
  for (const values of [[], [Number.NaN, Number.POSITIVE_INFINITY, Number.NaN], [0, 0, 0], [1e300, 1, -1e300]])
    t.notMatch(draw(values), /NaN|Infinity/)
  t.end()
})
