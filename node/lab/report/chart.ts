// A line chart over rounds as SVG: a few lines, a band, axes, and what a point stands for under the pointer.
import { html, type Markup } from './markup.ts'

export interface Series {
  name: string
  colour: 'a' | 'b' | 'c'
  /** A value that is not finite leaves a gap. */
  values: readonly number[]
}

export interface Chart {
  title: string
  series: readonly Series[]
  /** Filled between two lines, in the colour of the first series. */
  band?: { low: readonly number[]; high: readonly number[] }
  /** How a value is written. */
  format(value: number): string
  /** Ends of the axis; what is left out follows from the values. */
  from?: number
  to?: number
}

/** In units of the drawing, which is as wide as a phone shows it, so that its text stays readable there. */
const [WIDTH, HEIGHT] = [360, 200]
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 10, 8, 24]
/** Values that spread over more than this are drawn on a logarithmic axis: losses of what diverges. */
const SPREAD = 1000
/** Lines across, about. */
const TICKS = 4

export function lineChart(rounds: readonly number[], chart: Chart): Markup {
  const { series, band, format } = chart
  const finite = [...series.flatMap(({ values }) => values), ...(band === undefined ? [] : [...band.low, ...band.high])].filter(
    Number.isFinite,
  )
  const y = axisOf(finite, chart)
  const [first = 0, last = first] = [rounds[0], rounds.at(-1)]
  const right = (i: number) => round(LEFT + (last === first ? 0.5 : (rounds[i]! - first) / (last - first)) * (WIDTH - LEFT - RIGHT))
  const down = (value: number) => round(HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM))
  const at = (values: readonly number[]) => (i: number) => `${right(i)} ${down(values[i]!)}`

  const across = y.ticks.map(
    (tick) => html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${down(tick)}" y2="${down(tick)}"/>
<text x="${LEFT - 6}" y="${down(tick) + 4}" text-anchor="end">${format(tick)}</text>`,
  )
  const along = ticksBetween(first, last, TICKS)
    .filter(Number.isInteger)
    .map((tick) => {
      const x = round(LEFT + (last === first ? 0.5 : (tick - first) / (last - first)) * (WIDTH - LEFT - RIGHT))
      return html`<text x="${x}" y="${HEIGHT - 8}" text-anchor="middle">${tick}</text>`
    })
  const filled =
    band === undefined
      ? []
      : runsOf(rounds, (i) => Number.isFinite(band.low[i]) && Number.isFinite(band.high[i])).map(
          (run) =>
            html`<path d="M${[...run.map(at(band.high)), ...run.toReversed().map(at(band.low))].join('L')}Z" class="${series[0]!.colour}" fill="currentColor" fill-opacity=".16"/>`,
        )
  const lines = series.map(({ name, colour, values }) => {
    const runs = runsOf(rounds, (i) => Number.isFinite(values[i]))
    const points = runs
      .flat()
      .map(
        (i) =>
          html`<circle cx="${right(i)}" cy="${down(values[i]!)}" r="2"><title>${name}, round ${rounds[i]!}: ${format(values[i]!)}</title></circle>`,
      )
    const strokes = runs.map(
      (run) => html`<path d="M${run.map(at(values)).join('L')}" fill="none" stroke="currentColor" stroke-width="1.6"/>`,
    )
    return html`<g class="${colour}" fill="currentColor">${strokes}${points}</g>\n`
  })
  const key = series.map(({ name, colour }) => html`<span class="${colour}">${name}</span>`)
  return html`<section class="card"><h2>${chart.title}</h2><p class="key">${key}</p>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${chart.title}, by round">
${across}${along}${filled}${lines}</svg></section>\n`
}

/** A tenth of a unit is finer than what a screen shows. */
const round = (value: number): number => Math.round(value * 10) / 10

/** Where a value is on the axis, from 0 to 1, and the values that are written beside it. */
function axisOf(values: readonly number[], { from, to }: Chart): { share(value: number): number; ticks: number[] } {
  const [least, most] = values.length === 0 ? [0, 1] : [minOf(values), maxOf(values)]
  if (least > 0 && most > least * SPREAD) {
    const [low, high] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))]
    const ticks = ticksBetween(low, high, TICKS).filter(Number.isInteger)
    return { share: (value) => (Math.log10(value) - low) / (high - low), ticks: ticks.map((tick) => 10 ** tick) }
  }
  const low = from ?? least
  const high = Math.max(to ?? most, low + Math.max(Math.abs(low), 1e-9) * 1e-6)
  return { share: (value) => (value - low) / (high - low), ticks: ticksBetween(low, high, TICKS) }
}

const minOf = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b))
const maxOf = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b))

/** Round numbers from `low` to `high`: about `count` of them, in steps of 1, 2 or 5 times a power of ten. */
export function ticksBetween(low: number, high: number, count: number): number[] {
  if (!(high > low)) return [low]
  const rough = (high - low) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10)
  const ticks: number[] = []
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)))
  return ticks
}

/** Indices in stretches without a gap. */
function runsOf(rounds: readonly number[], isThere: (i: number) => boolean): number[][] {
  const runs: number[][] = [[]]
  for (let i = 0; i < rounds.length; i++) {
    if (isThere(i)) runs.at(-1)!.push(i)
    else runs.push([])
  }
  return runs.filter((run) => run.length > 0)
}
