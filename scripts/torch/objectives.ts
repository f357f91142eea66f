// Losses with their gradients, ten steps of each optimizer, and running statistics, in PyTorch's float64: into
// test/models/torch/objectives.json, which the tests hold the compiled graphs against.
// Usage: node scripts/torch/objectives.ts. Needs what python.ts looks for.
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { floatsOf, TYPE } from '../../models/graph.ts'
import { decodeGraph, parseModel } from '../../models/serialize.ts'
import { LOSS_CASES } from '../../test/models/torch/loss-cases.ts'
import { DATA, INDEX, OPTIMIZER_CASES, REGRESSION } from '../../test/models/torch/optimizer-cases.ts'
import { STATISTICS_CASES, statisticsData, statisticsModel } from '../../test/models/torch/statistics-cases.ts'
import { runTorch } from './python.ts'

const FILE = fileURLToPath(new URL('../../test/models/torch/objectives.json', import.meta.url))
/** Digits that are kept: float32 has seven. */
const DIGITS = 9

/** Straight from the file, so that nothing of the compiler's is in the numbers it is checked with. */
const tensorsOf = (model: Uint8Array) =>
  [...decodeGraph(parseModel(model).graph!).constants]
    .filter(([, { type }]) => type === TYPE.float32)
    .map(([name, tensor]) => ({ name, shape: tensor.dims, values: [...floatsOf(tensor)] }))

const dataOf = ({ x, y, shape }: { x: ArrayLike<number>; y: ArrayLike<number>; shape: readonly number[] }) => ({
  x: { shape: [-1, ...shape], values: Array.from(x) },
  y: Array.from(y),
})

const tasks = {
  losses: Object.entries(LOSS_CASES).map(([name, { scores, labels, ...settings }]) => ({
    name,
    ...settings,
    scores: [...scores],
    labels: [...labels],
  })),
  optimizers: Object.entries(OPTIMIZER_CASES).map(([name, optimizer]) => ({
    name,
    optimizer,
    index: INDEX,
    tensors: tensorsOf(REGRESSION),
    ...dataOf(DATA),
  })),
  statistics: Object.entries(STATISTICS_CASES).map(([name, settings]) => {
    const { batch, index } = statisticsData(settings)
    return { name, ...settings, index, tensors: tensorsOf(statisticsModel(settings)), ...dataOf(batch) }
  }),
}
const short = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(DIGITS)) : value)
const references = JSON.parse(runTorch('objectives.py', [], JSON.stringify(tasks)), short)
await writeFile(FILE, `${JSON.stringify(references)}\n`)
execFileSync('npx', ['biome', 'format', '--write', FILE], { stdio: 'inherit' })
