// Numbers as people read them.
import type { Evaluation } from '../ports.ts'

export const percent = (share: number | undefined): string => (share === undefined ? '' : `${(share * 100).toFixed(2)} %`)

export const megabytes = (bytes: number): string =>
  bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`

export const seconds = (value: number): string => `${value.toFixed(1)} s`

const MINUTE = 60
const HOUR = 60 * MINUTE

/** A time to wait, in the units that people wait in. */
export const duration = (value: number): string =>
  value < 2 * MINUTE ? `${Math.ceil(value)} s` : value < 2 * HOUR ? `${Math.round(value / MINUTE)} min` : `${(value / HOUR).toFixed(1)} h`

const HUGE = 1e6

const DAY = 24 * HOUR

/** How long ago something was. */
export const ago = (value: number): string =>
  value < 2 * MINUTE ? `${value} s ago` : value < 2 * HOUR ? `${Math.round(value / MINUTE)} min ago` : `${Math.round(value / HOUR)} h ago`

/** When something ends, in seconds since 1970. */
export const until = (expiresAt: number | undefined): string => {
  if (expiresAt === undefined) return 'never'
  const left = expiresAt - Date.now() / 1000
  return left < 0 ? 'expired' : left < 2 * DAY ? `in ${Math.ceil(left / HOUR)} h` : `in ${Math.round(left / DAY)} days`
}

/** Training that goes wrong has losses with dozens of digits. */
export const lossText = (loss: number): string => (Math.abs(loss) < HUGE ? loss.toFixed(4) : loss.toExponential(3))

export const mean = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}

/** What an evaluation found, as words. */
export function metrics({ loss, accuracy, auc, mae, perplexity }: Omit<Evaluation, 'samples'>): string {
  return [
    `loss ${lossText(loss)}`,
    accuracy === undefined ? '' : `accuracy ${percent(accuracy)}`,
    auc === undefined ? '' : `AUC ${auc.toFixed(4)}`,
    mae === undefined ? '' : `mean absolute error ${mae.toPrecision(4)}`,
    perplexity === undefined ? '' : `perplexity ${perplexity.toFixed(2)}`,
  ]
    .filter((part) => part !== '')
    .join(', ')
}
