// Comma-separated values (RFC 4180): a record is an object, and what is nested in it gets columns like `accuracy.mean`.

type Field = string | number | boolean | undefined

/** The columns are those of all records, in the order in which they first appear. */
export function csv(records: readonly object[]): string {
  const rows = records.map((record) => new Map(fieldsOf(record, '')))
  const columns = [...new Set(rows.flatMap((row) => [...row.keys()]))]
  const lines = [columns, ...rows.map((row) => columns.map((column) => row.get(column)))]
  return lines.map((line) => `${line.map(quoted).join(',')}\r\n`).join('')
}

const fieldsOf = (record: object, prefix: string): [string, Field][] =>
  Object.entries(record).flatMap(([key, value]): [string, Field][] =>
    typeof value === 'object' && value !== null ? fieldsOf(value, `${prefix}${key}.`) : [[prefix + key, value]],
  )

function quoted(field: Field): string {
  const text = String(field ?? '')
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
