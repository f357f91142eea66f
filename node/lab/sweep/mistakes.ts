// What is wrong in a grid file as one sentence, with the line and the word that was probably meant.
import { closestMatch } from 'leven'
import { type Document, isMap, isNode, isScalar, type LineCounter } from 'yaml'
import type { z } from 'zod'
import { MurmurError } from '../../../protocol/errors.ts'

/** Words shorter than this are near to too many others. */
const SHORT = 2
/** Share of a word's letters that may be wrong. */
const WRONG = 1 / 3

export type Path = readonly PropertyKey[]

export interface Source {
  file: string
  document: Document
  lines: LineCounter
}

export function mistake({ file, document, lines }: Source, path: Path, what: string): MurmurError {
  const offset = offsetOf(document, path)
  const where = offset === undefined ? '' : ` line ${lines.linePos(offset).line}`
  return new MurmurError('bad-config', `${file}${where}: ${what}`)
}

/** A name that there is not. */
export function unknownName(name: string, known: readonly string[], what: string): string {
  const near = nearest(name, known)
  return `there is no ${what} "${name}". ${near === undefined ? `Known are ${known.join(', ')}.` : `Did you mean "${near}"?`}`
}

/** A value that an option cannot have: the sentence names those that it can, and one of them may be what was meant. */
export function wrongValue(value: unknown, sentence: string): string {
  const words = (text: string): string[] => text.match(/[a-z][a-z0-9+-]*/gi) ?? []
  const given = words(String(value))
  const known = words(sentence).filter((word) => !given.includes(word))
  const near = given.map((word) => nearest(word, known)).find((word) => word !== undefined)
  return near === undefined ? sentence : `${sentence} Did you mean "${near}"?`
}

function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length < SHORT) return undefined
  return closestMatch(name, known, { maxDistance: Math.ceil(name.length * WRONG) })
}

/** What a schema complains of: first of a key that there is not, for that is why another one is missing. */
export function schemaMistake(source: Source, issues: readonly z.core.$ZodIssue[], keysOf: (path: Path) => readonly string[]): MurmurError {
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!
  const path = issue.path
  if (issue.code === 'unrecognized_keys') {
    const name = issue.keys[0]!
    return mistake(source, [...path, name], unknownName(name, keysOf(path), 'key'))
  }
  const at = path.length === 0 ? 'the file' : path.map((part) => String(part)).join('.')
  if (issue.code === 'invalid_value') {
    const given = String(source.document.getIn(path) ?? 'nothing')
    return mistake(source, path, `${at}: ${unknownName(given, issue.values.map(String), 'value')}`)
  }
  return mistake(source, path, `${at}: ${issue.message.replace(/^Invalid input: /, '')}.`)
}

/** Where in the text a path leads: to the key of a pair, or else to the innermost thing there that is. */
function offsetOf(document: Document, path: Path): number | undefined {
  const last = path.at(-1)
  const parent = document.getIn(path.slice(0, -1), true)
  const key = isMap(parent) ? parent.items.find(({ key }) => isScalar(key) && key.value === last)?.key : undefined
  if (isScalar(key)) return key.range?.[0]
  const node = document.getIn(path, true)
  if (isNode(node)) return node.range?.[0]
  return path.length === 0 ? undefined : offsetOf(document, path.slice(0, -1))
}
