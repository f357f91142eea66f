// Numbers and names as people read them.

/** @param {number | null | undefined} share */
export const percent = (share) =>
  share === null || share === undefined ? '–' : `${(share * 100).toFixed(share > 0.9995 || share < 0.1 ? 2 : 1)} %`

/** @param {number | null | undefined} value */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2)
  return size >= 100 ? value.toFixed(1) : value.toPrecision(4)
}

/** @param {number} seconds */
export const duration = (seconds) => (seconds < 1 ? `${Number((1000 * seconds).toPrecision(2))} ms` : `${number(seconds)} s`)

/** @param {number} value */
export const whole = (value) => value.toLocaleString('en')

/** @param {number} value */
export function bytes(value) {
  for (const [unit, size] of /** @type {const} */ ([
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ])) {
    if (value >= size) return `${(value / size).toFixed(value >= 100 * size ? 0 : value >= 10 * size ? 1 : 2)} ${unit}`
  }
  return `${Math.round(value)} B`
}

/** @param {string} peer */
export const short = (peer) => `…${peer.slice(-8)}`

/** @param {number} at milliseconds since 1970 */
export function clock(at) {
  const date = new Date(at)
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? date.toLocaleTimeString('en-GB') : date.toLocaleDateString('en-GB', { day: '2-digit', month: 'short' })
}

/** @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`
