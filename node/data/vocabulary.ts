// Text as token ids: a vocabulary, made of a text's characters or read from a file, and the longest token that fits at each place.
import { MurmurError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { shown } from './file.ts'

/** Tokens, as the manifest holds them. */
const MAX_TOKENS = 65_536
const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', '\\': '\\' }

/** The characters (code points) of a text, each once, in their order in Unicode. @param from for errors @throws data-invalid */
export function charactersOf(text: string, from: string): string[] {
  const found = [...new Set(text)]
  if (found.length > MAX_TOKENS) {
    throw new MurmurError(
      'data-invalid',
      `${from} has ${found.length} different characters, more than ${MAX_TOKENS}; give a vocabulary with --vocabulary.`,
    )
  }
  return found.sort((x, y) => x.codePointAt(0)! - y.codePointAt(0)!)
}

/** One token a line; `\n`, `\r`, `\t` and `\\` stand for what cannot be written there. @param from for errors @throws data-invalid */
export function parseVocabulary(text: string, from: string): string[] {
  const invalid = (why: string) => new MurmurError('data-invalid', `${from} is not a usable vocabulary: ${why}.`)
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  if (lines.length === 0) throw invalid('it is empty')
  if (lines.length > MAX_TOKENS) throw invalid(`it has ${lines.length} tokens, and at most ${MAX_TOKENS} are read`)
  const known = new Map<string, number>()
  lines.forEach((line, i) => {
    const token = line.replace(/\\([nrt\\])/g, (_, code: string) => ESCAPES[code]!)
    if (token === '') throw invalid(`line ${i + 1} is empty`)
    if (token.length > LIMITS.nameLength)
      throw invalid(`line ${i + 1} has ${token.length} characters, and a token at most ${LIMITS.nameLength}`)
    const before = known.get(token)
    if (before !== undefined) throw invalid(`line ${i + 1} repeats the token of line ${before + 1}`)
    known.set(token, i)
  })
  return [...known.keys()]
}

interface Branch {
  id: number | undefined
  next: Map<number, Branch>
}

/** Token ids of a text, at each place the longest token that fits. @param from for errors @throws data-invalid where none does */
export function tokenize(text: string, vocabulary: readonly string[], from: string): Int32Array {
  const root: Branch = { id: undefined, next: new Map() }
  vocabulary.forEach((token, id) => {
    let branch = root
    for (let i = 0; i < token.length; i++) {
      const code = token.charCodeAt(i)
      const longer = next(branch, code) ?? { id: undefined, next: new Map() }
      branch.next.set(code, longer)
      branch = longer
    }
    branch.id = id
  })
  const ids = new Int32Array(text.length)
  let count = 0
  for (let at = 0; at < text.length; ) {
    let id: number | undefined
    let end = at
    for (let i = at, branch = next(root, text.charCodeAt(i)); branch !== undefined; branch = next(branch, text.charCodeAt(++i))) {
      if (branch.id === undefined) continue
      id = branch.id
      end = i + 1
    }
    if (id === undefined) throw unknown(text, at, from)
    ids[count++] = id
    at = end
  }
  return ids.slice(0, count)
}

const next = (branch: Branch, code: number): Branch | undefined => branch.next.get(code)

function unknown(text: string, at: number, from: string): MurmurError {
  const before = text.slice(0, at)
  const line = before.split('\n').length
  const column = at - before.lastIndexOf('\n')
  const character = String.fromCodePoint(text.codePointAt(at)!)
  const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
  return new MurmurError(
    'data-invalid',
    `${from} holds "${shown(character)}" (U+${code}) in line ${line}, column ${column}, for which the task's vocabulary has no token.`,
  )
}
