// The other peers as a table: what the graph shows, for reading.
import { byId, table } from './dom.js'
import { bytes, percent, short } from './format.js'
import { fatesOf } from './graph.js'

/** @typedef {import('../state.ts').DashboardState} State */

const COLUMNS = [
  { name: 'peer', id: true },
  { name: 'state' },
  { name: 'round', number: true },
  { name: 'accuracy', number: true },
  { name: 'its weight' },
  { name: 'came from', id: true, spare: true },
  { name: 'sent to it', number: true, spare: true },
]

/** @param {import('./store.js').Store} store @param {{ chosen(): string | undefined, choose(peer: string | undefined): void }} choice */
export function showPeers(store, choice) {
  const filter = /** @type {HTMLInputElement} */ (byId('peers-filter'))
  const fill = table(byId('peers'), 'The other peers', COLUMNS, { empty: 'No other peer is known yet.', onChoose: choice.choose })
  filter.addEventListener('input', () => store.touch('peers-filter'))

  store.onChange((state, changed) => {
    if (!['members', 'inputs', 'pulled', 'served', 'accused', 'peers-filter', 'chosen'].some((name) => changed.has(name))) return
    const fates = fatesOf(state)
    const most = Math.max(Number.MIN_VALUE, ...[...fates.values()].map(({ weight }) => weight))
    const wanted = filter.value.trim().toLowerCase()
    const members = Object.values(state.members).map((member) => ({ member, status: statusOf(state, member) }))
    const shown = members.filter(({ member, status }) => member.peer.toLowerCase().includes(wanted) || status.text.includes(wanted))
    shown.sort((a, b) => a.status.order - b.status.order || (a.member.peer < b.member.peer ? -1 : 1))
    fill(
      shown.map(({ member, status }) => {
        const { peer, round, accuracy } = member
        const used = fates.get(peer)
        const from = (state.pulled[peer]?.from ?? []).map((holder) => (holder === peer ? 'itself' : short(holder)))
        const served = state.served[peer] ?? 0
        return {
          key: peer,
          chosen: peer === choice.chosen(),
          cells: [
            { text: short(peer), title: peer },
            status,
            { text: round === 0 ? '–' : String(round) },
            { text: percent(accuracy) },
            used === undefined
              ? { text: '', bar: 0 }
              : {
                  text: percent(used.weight),
                  bar: used.weight / most,
                  tone: { accepted: 'ok', trimmed: 'warn' }[/** @type {string} */ (used.fate)] ?? 'bad',
                  title: used.why,
                },
            { text: state.pulled[peer] === undefined ? '–' : from.length === 0 ? 'gossip' : from.join(', ') },
            { text: served === 0 ? '–' : bytes(served) },
          ],
        }
      }),
    )
  })
}

/** @param {State} state @param {State['members'][string]} member */
function statusOf({ accused }, { peer, shutOut, member, connected, present, role }) {
  const faults = Object.values(accused[peer] ?? {}).reduce((sum, count) => sum + (count ?? 0), 0)
  if (shutOut) return { text: 'shut out', tone: 'bad', order: 0, title: 'It signed two different updates for one round.' }
  if (!member) return { text: 'no member any more', tone: 'bad', order: 4 }
  const what = `${connected ? 'connected' : present ? 'heard of' : 'away'}${role === 'admin' ? ', admin' : ''}`
  if (faults > 0) return { text: `${what}, ${faults} turned away`, tone: 'warn', order: 1 }
  return { text: what, tone: connected ? 'ok' : 'muted', order: connected ? 2 : 3 }
}
