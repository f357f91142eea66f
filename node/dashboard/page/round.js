// One round: what the rule did with each model and why; the newest, or one that is chosen.
import { ask } from './connection.js'
import { byId, mark, table, write } from './dom.js'
import { counted, duration, number, percent, short, whole } from './format.js'

/** @typedef {import('../state.ts').DashboardState} State */
/** @typedef {NonNullable<State['inputs']>['rows'][number]} Input */

const COLUMNS = [
  { name: 'peer', id: true },
  { name: 'weight' },
  { name: 'what the rule did' },
  { name: 'distance', number: true },
  { name: 'trimmed', number: true, spare: true },
  { name: 'scaled by', number: true, spare: true },
  { name: 'of round', number: true, spare: true },
]

/** @param {import('./store.js').Store} store @param {string} token @returns {(round: number) => void} looks at a round */
export function showRound(store, token) {
  const input = /** @type {HTMLInputElement} */ (byId('round-number'))
  const newest = byId('round-newest')
  const fill = table(byId('round-inputs'), 'Models of the round', COLUMNS, { empty: 'Nothing is known of the models of this round.' })
  /** @type {number | undefined} */
  let chosen
  /** @type {{ round: number, rows: Input[] } | undefined} */
  let fetched

  /** @param {number | undefined} round */
  async function look(round) {
    chosen = round
    store.touch('round')
    if (round === undefined || round === store.state?.inputs?.round || fetched?.round === round) return
    const answer = await ask(`/rounds/${round}`, token).catch(() => undefined)
    const rows = answer?.ok ? /** @type {{ round: number, rows: Input[] }} */ (await answer.json()) : { round, rows: [] }
    if (chosen !== round) return
    fetched = rows
    store.touch('round')
  }

  const current = () => chosen ?? store.state?.inputs?.round ?? 1
  byId('round-before').addEventListener('click', () => look(Math.max(1, current() - 1)))
  byId('round-after').addEventListener('click', () => look(current() + 1 >= (store.state?.inputs?.round ?? 1) ? undefined : current() + 1))
  newest.addEventListener('click', () => look(undefined))
  input.addEventListener('change', () => look(input.valueAsNumber >= 1 ? Math.floor(input.valueAsNumber) : undefined))
  byId('round-form').addEventListener('submit', (event) => event.preventDefault())

  store.onChange((state, changed) => {
    if (!['round', 'inputs', 'about', ...(chosen === undefined ? [] : ['rounds'])].some((name) => changed.has(name))) return
    const round = current()
    const rows = state.inputs?.round === round ? state.inputs.rows : fetched?.round === round ? fetched.rows : []
    const most = Math.max(Number.MIN_VALUE, ...rows.map(({ weight }) => weight))
    if (document.activeElement !== input) input.value = String(round)
    mark(newest, 'aria-pressed', String(chosen === undefined))
    write(byId('round-summary'), summaryOf(state, round, rows.length))
    fill(
      [...rows]
        .sort((a, b) => b.weight - a.weight || (a.author < b.author ? -1 : 1))
        .map((row) => rowOf(state, round, row, rows.length, most)),
    )
  })

  return (round) => {
    void look(round)
    byId('round').scrollIntoView({ block: 'nearest' })
  }
}

/** @param {State} state @param {number} round @param {number} count */
function summaryOf({ inputs, rounds }, round, count) {
  const at = rounds.round.indexOf(round)
  const [accepted, trimmed, rejected] = [rounds.accepted[at], rounds.trimmed[at], rounds.rejected[at]]
  if (accepted === null || accepted === undefined) return `Round ${whole(round)} was not aggregated here.`
  const rule = inputs?.round === round ? `${inputs.rule}, against ${counted(inputs.f, 'attacker')}: ` : ''
  const seconds = rounds.aggregateSeconds[at]
  return `${rule}${counted(count, 'model')}; ${accepted} accepted, ${trimmed} trimmed, ${rejected} rejected${typeof seconds === 'number' ? `, in ${duration(seconds)}` : ''}.`
}

/** @param {State} state @param {number} round @param {Input} row @param {number} count @param {number} most the largest weight */
function rowOf({ about }, round, row, count, most) {
  const tone = row.kept ? (row.weight < 0.5 / count ? 'warn' : 'ok') : 'bad'
  const own = row.author === about?.peer
  return {
    key: row.author,
    cells: [
      { text: own ? 'this peer' : short(row.author), title: row.author },
      { text: percent(row.weight), bar: row.weight / most },
      { text: row.why, tone },
      { text: own ? '–' : number(row.distance) },
      { text: percent(row.trimmed) },
      { text: row.clip === undefined ? '–' : number(row.clip) },
      { text: String(row.round), tone: row.round < round ? 'warn' : undefined },
    ],
  }
}
