// The parameters of a call, checked: each is known, of the right kind and within its range.
import { MurmurError } from '../errors.ts'
import type { Call, Value } from './parse.ts'

/** Bounds of a number; `above` excludes itself. */
export interface Range {
  min?: number
  above?: number
  max?: number
  whole?: boolean
}

/** What a stage is built from: reads parameters that it lists, each with its default. */
export interface Given {
  /** @param otherwise the default; without one the parameter is needed @throws task-invalid where what was given is no number or out of range */
  number(key: string, otherwise: number | undefined, range?: Range): number
  /** A number or one of some words. @throws task-invalid */
  numberOr<Word extends string>(key: string, words: readonly Word[], otherwise: number | Word, range?: Range): number | Word
  /** One of some words. @throws task-invalid */
  word<Word extends string>(key: string, words: readonly Word[], otherwise: Word): Word
}

/**
 * The call with its parameters named: a value without a name is the first parameter's.
 * @param takes the parameters there are, the first one first @throws task-invalid where one is unknown
 */
export function named({ name, parameters }: Call, takes: readonly string[]): Call {
  const first = parameters.get('')
  const entries = [...parameters].filter(([key]) => key !== '')
  if (first !== undefined) {
    if (takes[0] === undefined) throw new MurmurError('task-invalid', `"${name}" takes no parameters, but was given ${first}.`)
    if (parameters.has(takes[0]))
      throw new MurmurError('task-invalid', `The parameter "${takes[0]}" of "${name}" is given twice; give it once.`)
    entries.unshift([takes[0], first])
  }
  const unknown = entries.find(([key]) => !takes.includes(key))
  if (unknown !== undefined) {
    throw new MurmurError('task-invalid', `"${name}" has no parameter "${unknown[0]}"; it takes ${takes.join(', ') || 'none'}.`)
  }
  return { name, parameters: new Map(entries) }
}

/** Reads the parameters of a call that `named` returned. */
export function given({ name, parameters }: Call): Given {
  const refuse = (key: string, value: Value, must: string) =>
    new MurmurError('task-invalid', `The parameter "${key}" of "${name}" is ${value}; it must be ${must}.`)

  function numberOr<Word extends string>(key: string, words: readonly Word[], otherwise: number | Word, range: Range = {}): number | Word {
    const value = parameters.get(key)
    if (value === undefined) return otherwise
    const word = words.find((one) => one === value)
    if (word !== undefined) return word
    if (typeof value === 'string' || !within(value, range)) throw refuse(key, value, [rangeText(range), ...words].join(' or '))
    return value
  }

  return {
    numberOr,
    number(key, otherwise, range = {}) {
      if (otherwise === undefined && !parameters.has(key)) {
        throw new MurmurError('task-invalid', `"${name}" needs its parameter "${key}": ${rangeText(range)}.`)
      }
      return numberOr<never>(key, [], otherwise!, range)
    },
    word(key, words, otherwise) {
      const value = parameters.get(key)
      const word = value === undefined ? otherwise : words.find((one) => one === value)
      if (word === undefined) throw refuse(key, value!, words.join(' or '))
      return word
    },
  }
}

function within(value: number, { min = -Infinity, above = -Infinity, max = Infinity, whole = false }: Range): boolean {
  return value >= min && (value > above || above === -Infinity) && value <= max && (!whole || Number.isSafeInteger(value))
}

function rangeText({ min, above, max, whole = false }: Range): string {
  const bounds = [above !== undefined && `above ${above}`, min !== undefined && `at least ${min}`, max !== undefined && `at most ${max}`]
  return [`a ${whole ? 'whole ' : ''}number`, bounds.filter(Boolean).join(' and ')].filter(Boolean).join(' ')
}
