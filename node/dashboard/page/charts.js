// The curves over rounds: one cursor for all of them, by mouse, finger or arrow keys; what is chosen is looked at below.
import uPlot from '/vendor/uplot.js'
import { make, watchSight, write } from './dom.js'

/** @typedef {Record<string, (number | null)[]>} Columns */
/**
 * A curve: its column, or how it is made of columns; the colours by name; whether it is only the edge of a band.
 * @typedef {{ label: string, of: string | ((columns: Columns) => (number | null)[]), color: string, fill?: string, steps?: boolean, hidden?: boolean, show?: (columns: Columns, at: number) => number | null }} Curve
 * @typedef {{ id: string, curves: Curve[], band?: [high: number, low: number], text: (value: number | null | undefined) => string, tick: (value: number) => string, range?: (least: number, most: number) => [number, number], empty: string, note?: (columns: Columns) => string }} Plan
 */

const HEIGHT = 210
/** Points up to which each is drawn as a dot too: with one or two rounds there is no line to see. */
const DOTS = 40

const sync = uPlot.sync('rounds')

/** @param {string} name a colour of the style sheet */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

/** @param {Columns} columns @param {Curve} curve */
const valuesOf = (columns, { of }) => (typeof of === 'string' ? columns[of] : of(columns))

/**
 * @param {HTMLElement} parent @param {Plan} plan @param {(round: number) => void} onChoose
 * @returns {(columns: Columns) => void}
 */
export function chart(parent, plan, onChoose) {
  const note = make('p', {})
  const frame = make('div', { tabindex: '0', role: 'img' })
  const box = make('div', { class: 'plot' }, frame, note)
  parent.append(box)
  /** @type {uPlot | undefined} */
  let plot
  /** @type {Columns} */
  let columns = { round: [] }
  let isZoomed = false
  const isSeen = watchSight(box, () => draw())

  function begin() {
    plot?.destroy()
    isZoomed = false
    plot = new uPlot(optionsOf(), data(), frame)
    plot.over.addEventListener('click', chooseAtCursor)
    // uPlot has put the whole view back by the time this is heard.
    plot.over.addEventListener('dblclick', () => {
      isZoomed = false
    })
  }

  /** @returns {uPlot.Options} */
  function optionsOf() {
    const axis = {
      stroke: color('muted'),
      grid: { stroke: color('line'), width: 1 },
      ticks: { stroke: color('line'), width: 1 },
      font: '11px system-ui, sans-serif',
    }
    return {
      width: Math.max(200, frame.clientWidth),
      height: HEIGHT,
      legend: { live: true },
      cursor: { sync: { key: sync.key }, drag: { x: true, y: false }, points: { size: 6 } },
      scales: {
        x: { time: false, range: (_, least, most) => (least === most ? [least - 1, most + 1] : [least, most]) },
        y: { range: (_, least, most) => rangeOf(least, most) },
      },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? String(tick) : '')) },
        { ...axis, size: 48, values: (_, ticks) => ticks.map((tick) => plan.tick(tick)) },
      ],
      series: [
        { label: 'round', value: (_, __, ___, at) => String(columns.round[at ?? columns.round.length - 1] ?? '–') },
        ...plan.curves.map((curve) => ({
          label: curve.label,
          stroke: color(curve.color),
          width: curve.hidden ? 0 : 1.5,
          spanGaps: true,
          ...(curve.fill && { fill: color(curve.fill) }),
          ...(curve.steps && uPlot.paths.stepped && { paths: uPlot.paths.stepped({ align: 1 }) }),
          points: { show: !curve.hidden && columns.round.length <= DOTS, size: 5 },
          value: (/** @type {unknown} */ _, /** @type {unknown} */ __, /** @type {unknown} */ ___, /** @type {number | null} */ at) =>
            plan.text(at === null ? newestOf(columns, curve)?.value : valueAt(columns, curve, at)),
        })),
      ],
      ...(plan.band && { bands: [{ series: /** @type {[number, number]} */ (plan.band.map((i) => i + 1)), fill: color('band') }] }),
      hooks: {
        setSelect: [
          (self) => {
            isZoomed = self.select.width > 0
          },
        ],
      },
    }
  }

  /** @param {number | null} least @param {number | null} most @returns {[number, number]} */
  function rangeOf(least, most) {
    if (least === null || most === null) return [0, 1]
    if (plan.range !== undefined) return plan.range(least, most)
    const room = Math.max((most - least) * 0.06, Math.abs(most) * 1e-3, 1e-9)
    return [least - room, most + room]
  }

  function draw() {
    plot?.setData(data(), !isZoomed)
    if (isZoomed) plot?.redraw()
  }

  /** @returns {uPlot.AlignedData} */
  const data = () =>
    /** @type {uPlot.AlignedData} */ (/** @type {unknown} */ ([columns.round, ...plan.curves.map((curve) => valuesOf(columns, curve))]))

  function chooseAtCursor() {
    const at = plot?.cursor.idx
    const round = at === null || at === undefined ? null : columns.round[at]
    if (round !== null && round > 0) onChoose(round)
  }

  /** @param {number} by rounds */
  function move(by) {
    if (plot === undefined || columns.round.length === 0) return
    const at = Math.min(columns.round.length - 1, Math.max(0, (plot.cursor.idx ?? columns.round.length - 1) + by))
    plot.setCursor({ left: plot.valToPos(/** @type {number} */ (columns.round[at]), 'x'), top: HEIGHT / 3 })
  }

  frame.addEventListener('keydown', (event) => {
    const far = event.shiftKey ? 10 : 1
    if (event.key === 'ArrowLeft') move(-far)
    else if (event.key === 'ArrowRight') move(far)
    else if (event.key === 'Home') move(-columns.round.length)
    else if (event.key === 'End') move(columns.round.length)
    else if (event.key === 'Enter') chooseAtCursor()
    else return
    event.preventDefault()
  })
  new ResizeObserver(() => {
    if (plot !== undefined && frame.clientWidth > 0 && plot.width !== frame.clientWidth)
      plot.setSize({ width: frame.clientWidth, height: HEIGHT })
  }).observe(frame)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    if (plot !== undefined) begin()
  })

  return (next) => {
    const hadDots = columns.round.length <= DOTS
    columns = next
    const isEmpty = plan.curves.every((curve) => valuesOf(columns, curve).every((value) => value === null))
    frame.hidden = isEmpty
    write(note, isEmpty ? plan.empty : (plan.note?.(columns) ?? ''))
    if (isEmpty) return
    frame.setAttribute('aria-label', spoken(plan, columns))
    if (plot === undefined || hadDots !== columns.round.length <= DOTS) begin()
    else if (isSeen()) draw()
  }
}

/** What is told of a curve at a round; a stacked one lies higher. @param {Columns} columns @param {Curve} curve @param {number} at */
const valueAt = (columns, curve, at) => (curve.show ? curve.show(columns, at) : valuesOf(columns, curve)[at])

/** @param {Columns} columns @param {Curve} curve */
function newestOf(columns, curve) {
  const at = valuesOf(columns, curve).findLastIndex((value) => value !== null)
  return at < 0 ? undefined : { at, value: valueAt(columns, curve, at) }
}

/** The newest values, for who cannot see the curves. @param {Plan} plan @param {Columns} columns */
function spoken({ curves, text }, columns) {
  const newest = curves.map((curve) => {
    const found = newestOf(columns, curve)
    return found === undefined ? '' : `${curve.label} ${text(found.value)} in round ${columns.round[found.at]}`
  })
  return `Over ${columns.round.length} rounds: ${newest.filter((part) => part !== '').join(', ')}. Arrow keys move along the rounds, Enter looks at one.`
}
