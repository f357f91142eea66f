// Samples by their place in a data set.

/** So many rows from `first` on, ascending. */
export const rowsFrom = (first: number, count: number): Int32Array<ArrayBuffer> => Int32Array.from({ length: count }, (_, i) => first + i)

export const allRows = (count: number): Int32Array<ArrayBuffer> => rowsFrom(0, count)
