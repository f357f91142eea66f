// The grammar of rules: `stage | stage | rule`, each `name`, `name(a=1, b=word)` or `name(1)`, whose value is that of the first parameter.
// Knows no rule; index.ts does. The lab's attacks are written alike.
import { MurmurError } from '../errors.ts'
import { LIMITS } from '../limits.ts'

export type Value = number | string

/** A name and its parameters, in the order written; a value without a name has the key ''. */
export interface Call {
  name: string
  parameters: ReadonlyMap<string, Value>
}

/** Stages of a rule: each pre-aggregation costs n^2 d, and more than three in a row has no use in the literature. */
const MAX_STAGES = 4

const STAGE = /^([a-z][a-z0-9+-]*)(?:\s*\(([^()]*)\))?$/
const PARAMETER = /^(?:([a-zA-Z][a-zA-Z0-9]*)\s*=\s*)?(?:(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([a-z][a-z0-9+-]*))$/

/** Splits a text into calls, the last of which is the rule itself. @param what it is, for errors @throws task-invalid */
export function parseCalls(text: string, what = 'aggregation rule'): Call[] {
  if (text.length > LIMITS.nameLength) {
    throw new MurmurError('task-invalid', `The ${what} has ${text.length} characters; at most ${LIMITS.nameLength} are allowed.`)
  }
  const stages = text.split('|')
  if (stages.length > MAX_STAGES) {
    throw new MurmurError('task-invalid', `The ${what} chains ${stages.length} stages; at most ${MAX_STAGES} are allowed.`)
  }
  return stages.map((stage) => {
    const call = callOf(stage.trim(), what)
    if (call !== undefined) return call
    throw new MurmurError(
      'task-invalid',
      `The ${what} ${JSON.stringify(text)} is not of the form "name", "name(a=1, b=2)" or "name | name".`,
    )
  })
}

function callOf(stage: string, what: string): Call | undefined {
  const match = STAGE.exec(stage)
  if (match === null) return undefined
  const name = match[1]!
  const parameters = new Map<string, Value>()
  for (const part of (match[2] ?? '').trim() === '' ? [] : match[2]!.split(',')) {
    const [, key = '', number, word] = PARAMETER.exec(part.trim()) ?? []
    const value = number === undefined ? word : Number(number)
    // A value without a name is the first parameter's, so nothing may come before it.
    const misplaced = key === '' && parameters.size > 0 && !parameters.has('')
    if (value === undefined || (typeof value === 'number' && !Number.isFinite(value)) || misplaced) {
      throw new MurmurError(
        'task-invalid',
        `The parameter ${JSON.stringify(part.trim())} of "${name}" in the ${what} is not of the form key=number.`,
      )
    }
    if (parameters.has(key)) {
      const twice = key === '' ? 'A value without a name' : `The parameter "${key}"`
      throw new MurmurError('task-invalid', `${twice} of "${name}" in the ${what} is given twice; give it once.`)
    }
    parameters.set(key, value)
  }
  return { name, parameters }
}

/** Canonical text of one call; parameters sorted by name, so that equal rules read the same. */
export function callText({ name, parameters }: Call): string {
  if (parameters.size === 0) return name
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1))
  return `${name}(${sorted.map(([key, value]) => `${key}=${value}`).join(', ')})`
}
