// A run of the lab as one page: what it was made from, how it ended, and its rounds as charts.
import { duration, lossText, megabytes, percent } from '../../cli/format.ts'
import type { LabResult } from '../run/types.ts'
import { lineChart } from './chart.ts'
import { definitions, html, page } from './markup.ts'

export function plot({ options, rounds, final, warnings }: LabResult): string {
  const of = (pick: (record: (typeof rounds)[number]) => number | undefined) => rounds.map((record) => pick(record) ?? Number.NaN)
  const numbers = rounds.map(({ round }) => round)
  const share = (value: number) => `${Number((value * 100).toPrecision(4))} %`
  const number = (value: number) =>
    value !== 0 && (value < 1e-3 || value >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(4)))
  const charts = [
    lineChart(numbers, {
      title: 'Accuracy of the honest models (band: from the worst to the best)',
      series: [
        { name: 'mean', colour: 'a', values: of(({ accuracy }) => accuracy.mean) },
        { name: 'worst', colour: 'b', values: of(({ accuracy }) => accuracy.worst) },
      ],
      band: { low: of(({ accuracy }) => accuracy.worst), high: of(({ accuracy }) => accuracy.best) },
      format: share,
      from: 0,
      to: 1,
    }),
    lineChart(numbers, {
      title: 'Loss of the honest models',
      series: [
        { name: 'mean', colour: 'a', values: of(({ loss }) => loss.mean) },
        { name: 'worst', colour: 'b', values: of(({ loss }) => loss.worst) },
      ],
      format: number,
      from: 0,
    }),
    lineChart(numbers, {
      title: 'Disagreement: distance of the honest models from their mean, relative to it',
      series: [{ name: 'mean', colour: 'c', values: of(({ disagreement }) => disagreement) }],
      format: number,
      from: 0,
    }),
    lineChart(numbers, {
      title: options.attack === undefined ? "The attackers' weight in honest models" : `Reach of the attack ${options.attack}`,
      series: [
        { name: "attackers' weight", colour: 'b', values: of(({ attackersWeight }) => attackersWeight) },
        ...(final.success === undefined ? [] : [{ name: 'success', colour: 'a' as const, values: of(({ success }) => success) }]),
      ],
      format: share,
      from: 0,
    }),
  ]
  const results: [string, string][] = [
    ['accuracy', `${percent(final.accuracy.mean)} (worst ${percent(final.accuracy.worst)}, best ${percent(final.accuracy.best)})`],
    ['of the mean model', percent(final.meanModelAccuracy)],
    ['loss', `${lossText(final.loss.mean)} (worst ${lossText(final.loss.worst)})`],
    ...(final.success === undefined ? [] : [['success of the attack', percent(final.success)] satisfies [string, string]]),
    ['took', `${duration(final.seconds)}, at most ${megabytes(final.peakBytes)} of memory`],
  ]
  const title = `${options.rule}, ${options.peers} peers, ${options.byzantine} byzantine${options.attack === undefined ? '' : `: ${options.attack}`}`
  const settings = Object.entries(options).map(([name, value]) => [name, String(value)] as const)
  return page(
    title,
    html`${warnings.map((warning) => html`<p><strong>Warning:</strong> ${warning}</p>\n`)}${definitions(results)}<div class="charts">
${charts}</div>\n${definitions(settings)}`,
  )
}
