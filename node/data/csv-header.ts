// The first line of a .csv or .tsv file: what its columns are called and what stands between them. It is read here because a guess
// from the rows, as DuckDB makes, takes a file with one broken row for a table with one column.
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { MurmurError } from '../../protocol/errors.ts'

/** Bytes of the longest header: tens of thousands of columns. */
const MAX_HEADER_BYTES = 1024 * 1024
const DELIMITERS = [',', '\t', ';', '|'] as const

export interface CsvHeader {
  names: string[]
  delimiter: (typeof DELIMITERS)[number]
}

/** @throws data-missing, data-invalid */
export async function readCsvHeader(path: string): Promise<CsvHeader> {
  const text = await readStart(path)
  if (text.trim() === '') throw new MurmurError('data-invalid', `${path} is empty.`)
  const [best] = DELIMITERS.map((delimiter) => ({ delimiter, names: firstRecord(text, delimiter) })).sort(
    (x, y) => y.names.length - x.names.length,
  )
  const names = best!.names.map((name, i) => name.trim() || `column${i}`)
  // DuckDB tells names apart only by their letters, not by their case.
  const known = new Set<string>()
  for (const name of names) {
    if (known.has(name.toLowerCase())) {
      throw new MurmurError('data-invalid', `${path} has two columns "${name}" in its first line, which must name each column once.`)
    }
    known.add(name.toLowerCase())
  }
  return { names, delimiter: best!.delimiter }
}

async function readStart(path: string): Promise<string> {
  const file = createReadStream(path)
  const stream = /\.gz$/i.test(path) ? file.pipe(createGunzip()) : file
  const chunks: Buffer[] = []
  let length = 0
  try {
    // A pipe does not hand on the errors of its source.
    file.on('error', (error) => stream.destroy(error))
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= MAX_HEADER_BYTES) break
    }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code?.startsWith('Z_')) throw new MurmurError('data-invalid', `${path} cannot be unpacked (${message}); save it again.`, { cause })
    throw new MurmurError('data-missing', `${path} cannot be read (${code ?? message}); check its permissions.`, { cause })
  } finally {
    file.destroy()
  }
  return new TextDecoder().decode(Buffer.concat(chunks).subarray(0, MAX_HEADER_BYTES))
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
