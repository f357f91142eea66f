// Numbers as people read them.
import type { Evaluation } from '../ports.ts'

export const percent = (share: number | undefined): string => (share === undefined ? '' : `${(share * 100).toFixed(2)} %`)

export const megabytes = (bytes: number): string =>
  bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`

export const seconds = (value: number): string => `${value.toFixed(1)} s`

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** What an evaluation found, as words. */
export function metrics({ loss, accuracy, auc, mae, perplexity }: Omit<Evaluation, 'samples'>): string {
  return [
    `loss ${loss.toFixed(4)}`,
    accuracy === undefined ? '' : `accuracy ${percent(accuracy)}`,
    auc === undefined ? '' : `AUC ${auc.toFixed(4)}`,
    mae === undefined ? '' : `mean absolute error ${mae.toPrecision(4)}`,
    perplexity === undefined ? '' : `perplexity ${perplexity.toFixed(2)}`,
  ]
    .filter((part) => part !== '')
    .join(', ')
}
