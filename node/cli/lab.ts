// `murmur lab aggregate`: applies a rule to vectors and prints what came of them, for comparison with other libraries.
import { type AggregateResult, parseLabRule, type Rule } from '../../protocol/aggregation/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { readRows } from './lab-matrix.ts'

interface Given {
  rule: string
  byzantine: number
  own: number
  weights?: string
  losses?: string
  seed: string
  json?: boolean
}

export async function aggregateCommand(file: string, given: Given): Promise<void> {
  const { rule: text, byzantine: f, own, weights, losses, seed, json = false } = given
  const rule = parseLabRule(text)
  const perRow = {
    ...(weights !== undefined && { weights: parseNumbers('weight', weights) }),
    ...(losses !== undefined && { losses: parseNumbers('loss', losses) }),
  }
  const vectors = await readRows(file)
  checkByzantine(rule, f, vectors.length, file)
  const result = rule.run({ vectors, own, f, seed, ...perRow })
  process.stdout.write(`${json ? JSON.stringify(plain(result)) : pretty(plain(result))}\n`)
}

const plain = ({ output, inputs }: AggregateResult) => ({ output: [...output], inputs })

/** The same object, an input a line. */
function pretty({ output, inputs }: ReturnType<typeof plain>): string {
  return `{"output": ${JSON.stringify(output)},\n "inputs": [\n  ${inputs.map((input) => JSON.stringify(input)).join(',\n  ')}\n ]}`
}

function parseNumbers(what: string, text: string): number[] {
  return text.split(',').map((part) => {
    const number = Number(part)
    if (part.trim() !== '' && !Number.isNaN(number)) return number
    throw new MurmurError('bad-argument', `The ${what} ${JSON.stringify(part)} is no number; give one for each row, such as 1,1,2.`)
  })
}

/** @throws too-few-inputs */
function checkByzantine(rule: Rule, f: number, rows: number, file: string): void {
  if (rule.minInputs(f) <= rows) return
  let most = f
  while (most >= 0 && rule.minInputs(most) > rows) most--
  const instead = most >= 0 ? `give --byzantine of at most ${most}` : `give at least ${rule.minInputs(0)} rows`
  throw new MurmurError(
    'too-few-inputs',
    `The rule "${rule.text}" needs at least ${rule.minInputs(f)} rows to withstand ${f} ${f === 1 ? 'attacker' : 'attackers'}, and ${file} has ${rows}; ${instead}.`,
  )
}
