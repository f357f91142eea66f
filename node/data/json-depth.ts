// How deep the values of a JSON lines file are nested, looked at before DuckDB reads it: nested without end they end the whole process.
import { MurmurError } from '../../protocol/errors.ts'
import { unpackedChunks } from './file.ts'

/** Nested lists and objects; a table has one, and DuckDB's stack holds some thousands. */
const MAX_DEPTH = 100

const code = (char: string): number => char.charCodeAt(0)
const [QUOTE, BACKSLASH, NEWLINE] = [code('"'), code('\\'), code('\n')]
const [OPENING, CLOSING] = ['[{', ']}'].map((chars) => [...chars].map(code)) as [number[], number[]]

/** @throws data-missing, data-invalid */
export async function checkJsonDepth(path: string): Promise<void> {
  let [depth, row] = [0, 1]
  let isText = false
  let isEscaped = false
  for await (const chunk of unpackedChunks(path)) {
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      if (byte === NEWLINE) {
        // Each line begins anew, also after a damaged one.
        row++
        depth = 0
        isText = false
        isEscaped = false
      } else if (isEscaped) isEscaped = false
      else if (byte === QUOTE) isText = !isText
      else if (isText) isEscaped = byte === BACKSLASH
      else if (byte === OPENING[0] || byte === OPENING[1]) {
        if (++depth > MAX_DEPTH) {
          throw new MurmurError('data-invalid', `${path} nests more than ${MAX_DEPTH} lists and objects in row ${row}; give plain values.`)
        }
      } else if (byte === CLOSING[0] || byte === CLOSING[1]) depth--
    }
  }
}
