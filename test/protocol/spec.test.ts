// SPEC.md says what the code does where both can be read by a machine: limits, reasons, domains, manifest keys, phases, vectors.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { REFUSALS } from '../../protocol/join.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { manifestSchema } from '../../protocol/manifest.ts'
import { REJECTIONS } from '../../protocol/rejections.ts'

const read = (path: string): string => readFileSync(new URL(`../../protocol/${path}`, import.meta.url), 'utf8')
const spec = read('SPEC.md')

/** A section by its number, up to the next of the same depth. */
function section(number: string): string {
  const depth = number.includes('.') ? '###' : '##'
  const [, rest = ''] = spec.split(new RegExp(`^${depth} ${number.replace('.', '\\.')} .*$`, 'm'))
  return rest.split(new RegExp(`^#{2,${depth.length}} `, 'm'))[0]!
}

/** The cells of each row of a table, without its head. */
const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim().replace(/^`|`$/g, '')),
    )

t.test('the table of limits is limits.ts', (t) => {
  t.same(Object.fromEntries(rows(section('14')).map(([name, value]) => [name, Number(value)])), { ...LIMITS })
  t.end()
})

t.test('the table of reasons is rejections.ts', (t) => {
  const table = rows(section('13')).map(([code, verdict, fault, why]) => [code, { verdict, fault, why }])
  t.same(Object.fromEntries(table), { ...REJECTIONS })
  t.end()
})

t.test('the table of refusals on joining is join.ts', (t) => {
  const all = rows(section('10')).map(([name, text, final]) => [name, { text, final: final === 'yes' }])
  t.same(Object.fromEntries(all), Object.fromEntries(Object.entries(REFUSALS).map(([name, { text, final }]) => [name, { text, final }])))
  t.end()
})

t.test('every key of a manifest has a row, and every row a key', (t) => {
  t.same(
    rows(section('3')).map(([key]) => key),
    Object.keys(manifestSchema.shape),
  )
  t.end()
})

t.test('every domain, message, phase, event and effect is named', (t) => {
  const domains = read('envelope.ts').match(/(?<=')murmuration-[a-z]+(?=')/g) ?? []
  t.ok(domains.length > 5)
  for (const domain of domains) t.ok(section('2').includes(`\`${domain.replace(/^murmuration(?!-task)/, '')}\``), domain)
  const messages = read('wire.proto').match(/(?<=^message )[A-Za-z]+/gm) ?? []
  t.ok(messages.length > 15)
  for (const message of messages) t.ok(spec.includes(`\`${message}\``), message)
  const states = read('round/state.ts')
  const phases = states.match(/(?<=RoundPhase = ).*/)?.[0].match(/[a-z]+/g) ?? []
  t.same(
    rows(section('12.1')).map(([phase]) => phase),
    phases,
  )
  const events =
    states
      .split('RoundEffect')[0]!
      .split('RoundEvent =')[1]!
      .match(/(?<=type: ')[a-z-]+/g) ?? []
  t.ok(events.length > 8)
  for (const event of events) t.ok(section('12.2').includes(`\`${event}\``), event)
  const effects =
    states
      .split('interface Step')[0]!
      .split('RoundEffect =')[1]!
      .match(/(?<=type: ')[a-z-]+/g) ?? []
  t.ok(effects.length > 8)
  for (const effect of effects) t.ok(section('12.2').includes(`\`${effect}\``), effect)
  t.end()
})

t.test('every file of vectors is named, and every name is a file', (t) => {
  const files = readdirSync(new URL('../../protocol/vectors/', import.meta.url)).map((file) => file.replace(/\.json$/, ''))
  const named = rows(section('15')).flatMap(([names]) => `\`${names}\``.match(/[a-z][a-z0-9-]*/g) ?? [])
  t.same(named.sort(), files.sort())
  t.end()
})

t.test('every link within the page leads somewhere', (t) => {
  const anchors = [...spec.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, '')
      .replace(/ /g, '-'),
  )
  const links = [...spec.matchAll(/\]\(#([^)]*)\)/g)].map(([, anchor]) => anchor!)
  t.ok(links.length > 30)
  for (const link of new Set(links)) t.ok(anchors.includes(link), link)
  t.end()
})
