// A sweep's table as files: table.csv and table.json for programs, table.md for documents, table.html as a heat map.
import { csv } from '../report/csv.ts'
import { definitions, html, page } from '../report/markup.ts'
import type { Sheet, Table, TableCell } from './table.ts'
import { type Plan, VALUES } from './types.ts'

interface About {
  plan: Plan
  /** The command line that makes the table again. */
  command: string
}

export function tableTexts(table: Table, about: About): Record<string, string> {
  return {
    'table.csv': csv(records(table, about.plan)),
    'table.json': `${JSON.stringify({ version: 1, ...described(about), ...table }, undefined, 1)}\n`,
    'table.md': markdown(table, about),
    'table.html': heatMap(table, about),
  }
}

const described = ({ plan: { name, fixed, axes, seeds, layout }, command }: About) => ({
  name,
  command,
  options: fixed,
  grid: Object.fromEntries(axes.map(({ key, values }) => [key, values])),
  seeds,
  table: layout,
})

/** A line for each cell of the table. */
function records({ columns, sheets }: Table, { layout }: Plan): object[] {
  return sheets.flatMap(({ labels, rows }) =>
    rows.flatMap(({ label, cells, worst }) =>
      [...cells.map((cell, i) => [columns[i]!, cell] as const), ...(worst === undefined ? [] : [['worst', worst] as const])].map(
        ([column, { state, mean, spread, why }]) => ({
          ...labels,
          [layout.rows]: label,
          [layout.columns]: column,
          state,
          [layout.value]: mean,
          spread,
          why,
        }),
      ),
    ),
  )
}

function markdown(table: Table, about: About): string {
  const { layout } = about.plan
  const cellText = (cell: TableCell | undefined) => (cell?.best ? `**${shown(cell, about)}**` : shown(cell, about))
  const line = (parts: readonly string[]) => `| ${parts.join(' | ')} |`
  const sheets = table.sheets.map((sheet) => {
    const head = [layout.rows, ...table.columns, 'worst'].map(plainText)
    return [
      ...(layout.sheets.length === 0 ? [] : [`### ${plainText(titleOf(sheet))}`, '']),
      line(head),
      line(head.map((_, i) => (i === 0 ? '---' : '--:'))),
      ...sheet.rows.map(({ label, cells, worst }) => line([plainText(label), ...[...cells, worst].map(cellText)])),
      '',
    ].join('\n')
  })
  const notes = reasons(table).map((why) => `- ${plainText(why)}\n`)
  return `${['```sh', about.command, '```', '', ...introduction(about).map((text) => `${plainText(text)}\n`)].join('\n')}\n${sheets.join('\n')}${notes.length === 0 ? '' : `\n${notes.join('')}`}`
}

function heatMap(table: Table, about: About): string {
  const { plan } = about
  const { share, more } = VALUES[plan.layout.value]
  const values = table.sheets
    .flatMap(({ rows }) => rows.flatMap(({ cells }) => cells.map(({ mean = Number.NaN }) => mean)))
    .filter(Number.isFinite)
  const [least, most] = share ? [0, 1] : [Math.min(...values), Math.max(...values)]
  const warmth = ({ mean = Number.NaN }: TableCell) => {
    const part = most > least ? (mean - least) / (most - least) : 1
    return Number.isFinite(part) ? (more ? part : 1 - part).toFixed(3) : '0'
  }
  const cellMarkup = (cell: TableCell | undefined) =>
    cell === undefined
      ? html`<td></td>`
      : html`<td class="${cell.best ? 'best' : 'other'}" style="--share:${warmth(cell)}" title="${cell.why ?? ''}">${shown(cell, about)}</td>`
  const sheets = table.sheets.map(
    (sheet) => html`${plan.layout.sheets.length === 0 ? [] : [html`<h2>${titleOf(sheet)}</h2>`]}<div class="wide"><table>
<tr>${[plan.layout.rows, ...table.columns, 'worst'].map((name) => html`<th>${name}</th>`)}</tr>
${sheet.rows.map(({ label, cells, worst }) => html`<tr><th>${label}</th>${[...cells, worst].map(cellMarkup)}</tr>\n`)}</table></div>\n`,
  )
  return page(
    plan.name,
    html`${introduction(about).map((text) => html`<p class="note">${text}</p>\n`)}${sheets}${definitions([['command', about.command]])}`,
  )
}

/** What the numbers are and what they were made from. */
function introduction({ plan: { fixed, seeds, layout, axes } }: About): string[] {
  const { is, share, more } = VALUES[layout.value]
  const several = seeds.length > 1 ? `, mean and standard deviation over ${seeds.length} seeds` : ''
  const settings = Object.entries(fixed).map(([key, value]) => `${key} ${value}`)
  const seeded =
    'seed' in fixed || axes.some(({ key }) => key === 'seed') ? [] : [`${seeds.length > 1 ? 'seeds' : 'seed'} ${seeds.join(', ')}`]
  return [
    `${capital(is)}${share ? ' in %' : ''} at the end${several}. Bold is the best of a column; "worst" is the ${more ? 'lowest' : 'highest'} of a row.`,
    `Options: ${[...settings, ...seeded].join('; ')}; the rest as murmur lab run has it.`,
  ]
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

const titleOf = ({ labels }: Sheet): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key} ${value}`)
    .join(', ')

/** Each sentence once. */
const reasons = ({ sheets }: Table): string[] => [
  ...new Set(
    sheets.flatMap(({ rows }) =>
      rows.flatMap(({ label, cells }) => cells.flatMap(({ state, why }) => (why === undefined ? [] : [`${label}: ${state}: ${why}`]))),
    ),
  ),
]

function shown(cell: TableCell | undefined, { plan: { layout } }: About): string {
  if (cell === undefined) return ''
  if (cell.state !== 'done') return cell.state
  const { mean = Number.NaN, spread } = cell
  if (!Number.isFinite(mean)) return 'none'
  const text = (value: number) => (VALUES[layout.value].share ? (value * 100).toFixed(1) : String(Number(value.toPrecision(4))))
  return spread === undefined ? text(mean) : `${text(mean)} ± ${text(spread)}`
}

/** Text that Markdown, also in a table, takes for nothing else. */
const plainText = (text: string): string => text.replace(/[\\`*_[\]<>|&]/g, (character) => `\\${character}`)
