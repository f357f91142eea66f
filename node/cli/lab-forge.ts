// `murmur lab forge`: prints what attackers would send who know the given honest models, for comparison with other libraries.
import { parseLabRule } from '../../protocol/aggregation/index.ts'
import type { Vector } from '../../protocol/aggregation/matrix.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { parseLabAttack } from '../lab/attacks/index.ts'
import { readRows } from './lab-matrix.ts'

interface Given {
  attack: string
  byzantine: number
  rule?: string
  own: number
  start?: string
  trained?: string
  seed: string
  json?: boolean
}

export async function forgeCommand(file: string, given: Given): Promise<void> {
  const { byzantine: f, own, seed, json = false } = given
  const attack = parseLabAttack(given.attack)
  const rule = given.rule === undefined ? undefined : parseLabRule(given.rule)
  const honest = await readRows(file)
  const start = given.start === undefined ? undefined : await readStart(given.start)
  const trained = given.trained === undefined ? undefined : await readRows(given.trained)
  const vectors = attack.forge(honest, f, { own, seed, ...(rule && { rule }), ...(start && { start }), ...(trained && { trained }) })
  const lines = vectors.map((vector) => JSON.stringify([...vector]))
  process.stdout.write(json ? `{"vectors":[${lines.join(',')}]}\n` : `{"vectors": [\n  ${lines.join(',\n  ')}\n]}\n`)
}

/** @throws data-invalid */
async function readStart(file: string): Promise<Vector> {
  const [row, ...others] = await readRows(file)
  if (others.length === 0) return row!
  throw new MurmurError('data-invalid', `${file} has ${others.length + 1} rows; the model from which a round starts is one row.`)
}
