// Prometheus' text format, version 0.0.4. A library would keep registers of its own beside the numbers that are here already.

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export type Labels = Record<string, string>
export interface Sample {
  labels?: Labels
  value: number
}
export type Metric = { name: string; help: string } & (
  | { type: 'counter' | 'gauge'; samples: readonly Sample[] }
  | { type: 'histogram'; histogram: Histogram }
)

export interface Histogram {
  /** Upper bounds, ascending; what lies above the last counts in `count` alone. */
  readonly bounds: readonly number[]
  readonly counts: number[]
  count: number
  sum: number
}

export const newHistogram = (bounds: readonly number[]): Histogram => ({ bounds, counts: bounds.map(() => 0), count: 0, sum: 0 })

export function observe(histogram: Histogram, value: number): void {
  histogram.count++
  histogram.sum += value
  const at = histogram.bounds.findIndex((bound) => value <= bound)
  if (at >= 0) histogram.counts[at]!++
}

export function expose(metrics: readonly Metric[]): string {
  return metrics
    .filter((metric) => metric.type === 'histogram' || metric.samples.length > 0)
    .flatMap((metric) => [
      `# HELP ${metric.name} ${metric.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
      `# TYPE ${metric.name} ${metric.type}`,
      ...(metric.type === 'histogram'
        ? histogramLines(metric)
        : metric.samples.map(({ labels, value }) => line(metric.name, labels, value))),
      '',
    ])
    .join('\n')
}

function histogramLines({ name, histogram }: { name: string; histogram: Histogram }): string[] {
  let below = 0
  const buckets = histogram.bounds.map((bound, i) => {
    below += histogram.counts[i]!
    return line(`${name}_bucket`, { le: String(bound) }, below)
  })
  return [
    ...buckets,
    line(`${name}_bucket`, { le: '+Inf' }, histogram.count),
    line(`${name}_sum`, undefined, histogram.sum),
    line(`${name}_count`, undefined, histogram.count),
  ]
}

function line(name: string, labels: Labels = {}, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`)
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${numberText(value)}`
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

const numberText = (value: number): string => (Number.isFinite(value) || Number.isNaN(value) ? String(value) : value > 0 ? '+Inf' : '-Inf')
