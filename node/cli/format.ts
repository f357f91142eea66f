// Numbers as people read them.

export const percent = (share: number | undefined): string => (share === undefined ? '' : `${(share * 100).toFixed(2)} %`)

export const megabytes = (bytes: number): string =>
  bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`

export const seconds = (value: number): string => `${value.toFixed(1)} s`

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
