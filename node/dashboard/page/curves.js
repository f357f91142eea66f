// Which curves there are.
import { chart } from './charts.js'
import { byId } from './dom.js'
import { number, percent, whole } from './format.js'

/** @typedef {import('./charts.js').Columns} Columns */
/** @typedef {import('./charts.js').Plan} Plan */

/** @param {...string} names @returns {(columns: Columns) => (number | null)[]} */
const sumOf =
  (...names) =>
  (columns) =>
    columns.round.map((_, i) => (columns.accepted[i] === null ? null : names.reduce((sum, name) => sum + (columns[name][i] ?? 0), 0)))

/** @param {string} name @returns {(columns: Columns, at: number) => number | null} */
const shown = (name) => (columns, at) => columns[name][at]

/** @type {Plan[]} */
const PLANS = [
  {
    id: 'accuracy',
    text: percent,
    tick: (value) => `${Number((100 * value).toPrecision(4))} %`,
    range: (least, most) => [Math.max(0, least - 0.02), Math.min(1, most + 0.02)],
    curves: [
      { label: 'own', of: 'accuracy', color: 'accent' },
      { label: 'others’ median', of: 'othersMedian', color: 'others' },
      { label: '90th percentile', of: 'othersHigh', color: 'others', hidden: true },
      { label: '10th', of: 'othersLow', color: 'others', hidden: true },
    ],
    band: [2, 3],
    empty: 'No round has been evaluated yet, or the task knows no accuracy.',
    note: ({ othersMedian }) =>
      othersMedian.some((value) => value !== null)
        ? 'On each peer’s own validation data. The band holds 80 % of the others.'
        : 'On the own validation data. Others tell theirs only where the network stops at a target.',
  },
  {
    id: 'loss',
    text: number,
    tick: (value) => String(Number(value.toPrecision(4))),
    curves: [
      { label: 'validation', of: 'loss', color: 'accent' },
      { label: 'training', of: 'trainLoss', color: 'others' },
    ],
    empty: 'No round has been trained yet.',
    note: () => 'Validation after aggregation, training while training. Losses of others are not told.',
  },
  {
    id: 'fates',
    text: (value) => (value == null ? '–' : whole(value)),
    tick: (value) => (Number.isInteger(value) ? whole(value) : ''),
    range: (_, most) => [0, Math.max(1, most * 1.08)],
    curves: [
      {
        label: 'rejected',
        of: sumOf('accepted', 'trimmed', 'rejected'),
        show: shown('rejected'),
        color: 'bad',
        fill: 'bad-fill',
        steps: true,
      },
      { label: 'trimmed', of: sumOf('accepted', 'trimmed'), show: shown('trimmed'), color: 'warn', fill: 'warn-fill', steps: true },
      { label: 'accepted', of: 'accepted', color: 'ok', fill: 'ok-fill', steps: true },
    ],
    empty: 'No round has been aggregated yet.',
    note: () => 'Trimmed: it had less than half of an equal share. Rejected: it did not pass the gate.',
  },
  {
    id: 'distance',
    text: number,
    tick: (value) => String(Number(value.toPrecision(4))),
    curves: [
      { label: 'median', of: 'distanceMedian', color: 'others' },
      { label: '90th percentile', of: 'distanceHigh', color: 'others', hidden: true },
      { label: '10th', of: 'distanceLow', color: 'others', hidden: true },
    ],
    band: [1, 2],
    empty: 'No round has been aggregated since this peer was started.',
    note: () => 'Euclidean, over the shared weights, since this peer was started. The band holds 80 % of the models.',
  },
]

/** @param {import('./store.js').Store} store @param {(round: number) => void} onChoose */
export function showCurves(store, onChoose) {
  const charts = PLANS.map((plan) => chart(byId(plan.id), plan, onChoose))
  store.onChange(({ rounds }, changed) => {
    if (!changed.has('rounds')) return
    for (const draw of charts) draw(rounds)
  })
}
