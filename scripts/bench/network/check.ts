// One measure held against its goal, and how it is printed.
export interface Check {
  name: string
  /** What was measured, for people. */
  what: string
  value: number
  goal: { least: number } | { most: number }
}

export function describe({ name, what, value, goal }: Check): string {
  const isReached = 'least' in goal ? value >= goal.least : value <= goal.most
  const asked = 'least' in goal ? `>= ${goal.least}` : `<= ${goal.most}`
  return `${name.padEnd(9)} ${value.toFixed(2).padStart(9)}  ${asked} ${isReached ? 'ok' : 'MISSED'}; ${what}`
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}
