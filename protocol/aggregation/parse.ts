// The grammar of rules: `stage | stage | rule`, each `name` or `name(a=1, b=2)`. Knows no rule; index.ts does.
import { MurmurError } from '../errors.ts'
import { LIMITS } from '../limits.ts'

/** A name and its parameters, in the order written. */
export interface Call {
  name: string
  parameters: ReadonlyMap<string, number>
}

/** Stages of a rule: each pre-aggregation costs n^2 d, and more than three in a row has no use in the literature. */
const MAX_STAGES = 4

const STAGE = /^([a-z][a-z0-9-]*)(?:\s*\(([^()]*)\))?$/
const PARAMETER = /^([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$/

/** Splits the text of a rule into calls, the last of which is the rule itself. @throws task-invalid */
export function parseCalls(text: string): Call[] {
  if (text.length > LIMITS.nameLength) {
    throw new MurmurError('task-invalid', `The aggregation rule has ${text.length} characters; at most ${LIMITS.nameLength} are allowed.`)
  }
  const stages = text.split('|')
  if (stages.length > MAX_STAGES) {
    throw new MurmurError('task-invalid', `The aggregation rule chains ${stages.length} stages; at most ${MAX_STAGES} are allowed.`)
  }
  return stages.map((stage) => parseCall(stage.trim(), text))
}

function parseCall(stage: string, text: string): Call {
  const match = STAGE.exec(stage)
  if (match === null) {
    throw new MurmurError(
      'task-invalid',
      `The aggregation rule ${JSON.stringify(text)} is not of the form "name", "name(a=1, b=2)" or "name | name".`,
    )
  }
  const name = match[1]!
  const parameters = new Map<string, number>()
  for (const part of (match[2] ?? '').trim() === '' ? [] : match[2]!.split(',')) {
    const parameter = PARAMETER.exec(part.trim())
    const value = Number(parameter?.[2])
    if (parameter === null || !Number.isFinite(value)) {
      throw new MurmurError(
        'task-invalid',
        `The parameter ${JSON.stringify(part.trim())} of "${name}" in the aggregation rule is not of the form key=number.`,
      )
    }
    if (parameters.has(parameter[1]!)) {
      throw new MurmurError(
        'task-invalid',
        `The parameter "${parameter[1]}" of "${name}" in the aggregation rule is given twice; give it once.`,
      )
    }
    parameters.set(parameter[1]!, value)
  }
  return { name, parameters }
}

/** Canonical text of one call; parameters sorted by name, so that equal rules read the same. */
export function callText({ name, parameters }: Call): string {
  if (parameters.size === 0) return name
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1))
  return `${name}(${sorted.map(([key, value]) => `${key}=${value}`).join(', ')})`
}
