// The first line of a .csv or .tsv file: what its columns are called and what stands between them. It is read here because a guess
// from the rows, as DuckDB makes, takes a file with one broken row for a table with one column.
import { MurmurError } from '../../protocol/errors.ts'
import { unpackedChunks } from './file.ts'

/** Bytes of the longest header: tens of thousands of columns. */
const MAX_HEADER_BYTES = 1024 * 1024
const DELIMITERS: readonly string[] = [',', '\t', ';', '|']

export interface CsvHeader {
  names: string[]
  delimiter: string
}

/** @throws data-missing, data-invalid */
export async function readCsvHeader(path: string): Promise<CsvHeader> {
  const text = await readStart(path)
  if (text.trim() === '') throw new MurmurError('data-invalid', `${path} is empty.`)
  const delimiter = delimiterOf(text)
  const names = firstRecord(text, delimiter).map((name, i) => name.trim() || `column${i}`)
  // DuckDB tells names apart only by their letters, not by their case.
  const known = new Set<string>()
  for (const name of names) {
    if (known.has(name.toLowerCase())) {
      throw new MurmurError('data-invalid', `${path} has two columns "${name}" in its first line, which must name each column once.`)
    }
    known.add(name.toLowerCase())
  }
  return { names, delimiter }
}

async function readStart(path: string): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of unpackedChunks(path)) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= MAX_HEADER_BYTES) break
  }
  const text = new TextDecoder().decode(Buffer.concat(chunks).subarray(0, MAX_HEADER_BYTES))
  if (length >= MAX_HEADER_BYTES && !/[\n\r]/.test(text)) {
    throw new MurmurError('data-invalid', `${path} has a first line of more than ${MAX_HEADER_BYTES} bytes, which should name its columns.`)
  }
  return text
}

/** The one that the first line has most of, what stands in quotes left out. */
function delimiterOf(text: string): string {
  const counts = DELIMITERS.map(() => 0)
  let quoted = false
  for (const char of text) {
    if (char === '"') quoted = !quoted
    if (quoted) continue
    if (char === '\n' || char === '\r') break
    const at = DELIMITERS.indexOf(char)
    if (at >= 0) counts[at]!++
  }
  return DELIMITERS[counts.indexOf(Math.max(...counts))]!
}

/** Fields of the first line (RFC 4180): a field in quotes may hold the delimiter, line breaks, and quotes written twice. */
function firstRecord(text: string, delimiter: string): string[] {
  const fields: string[] = []
  let field = ''
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!
    if (quoted) {
      if (char !== '"') field += char
      else if (text[i + 1] === '"') field += text[i++]
      else quoted = false
    } else if (char === '"' && field === '') quoted = true
    else if (char === delimiter) {
      fields.push(field)
      field = ''
    } else if (char === '\n' || char === '\r') break
    else field += char
  }
  return [...fields, field]
}
