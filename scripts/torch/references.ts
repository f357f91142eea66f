// Losses of 20 PyTorch steps for each zoo model, into test/models/torch/losses.json, which the tests hold the compiled graphs against.
// Usage: node scripts/torch/references.ts. Needs what python.ts looks for.
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TYPE } from '../../models/graph.ts'
import { decodeGraph, parseModel } from '../../models/serialize.ts'
import { ZOO, ZOO_TASKS, type ZooName, zooModel } from '../../models/zoo/index.ts'
import { torchForward } from '../../test/models/torch/forward.ts'
import { SEED, torchIndex, torchSamples, torchTask } from '../../test/models/torch/tasks.ts'
import { runTorch } from './python.ts'

/** Of the largest output; float32 against float64. More means that the two sides are not the same model. */
const FORWARD_TOLERANCE = 1e-5
/** Outputs of the first sample that are kept. */
const KEPT = 8

interface Results {
  version: string
  models: Record<ZooName, { output: number[]; losses: number[]; float32: number[]; norms: number[] }>
}

const FILE = fileURLToPath(new URL('../../test/models/torch/losses.json', import.meta.url))
const NAMES = Object.keys(ZOO) as ZooName[]

async function writeTask(folder: string, name: ZooName) {
  // Straight from the file, so that nothing of the compiler's is in the numbers it is checked with.
  const tensors = [...decodeGraph(parseModel(zooModel(name, SEED)).graph!).constants].filter(([, { type }]) => type === TYPE.float32)
  const { x, y } = torchSamples(name)
  await writeFile(join(folder, `${name}.params`), Buffer.concat(tensors.map(([, { data }]) => data!)))
  await writeFile(join(folder, `${name}.x`), x)
  await writeFile(join(folder, `${name}.y`), y)
  const described = (values: Float32Array | Int32Array, shape: readonly number[]) => ({
    shape,
    dtype: values instanceof Float32Array ? 'float32' : 'int32',
  })
  const { input, target } = ZOO_TASKS[name]
  const task = torchTask(name)
  const parameters = tensors.map(([name, { dims }]) => ({ name, shape: dims }))
  return { name, parameters, x: described(x, input.shape), y: described(y, target.shape), index: torchIndex(task), ...task }
}

const relative = (values: ArrayLike<number>, expected: readonly number[]): number =>
  Math.max(...expected.map((value, i) => Math.abs(values[i]! - value))) / Math.max(...expected.map(Math.abs))

const folder = await mkdtemp(join(tmpdir(), 'murmur-torch-'))
try {
  const tasks = await Promise.all(NAMES.map((name) => writeTask(folder, name)))
  await writeFile(join(folder, 'tasks.json'), JSON.stringify(tasks))
  const { version, models }: Results = JSON.parse(runTorch('references.py', [folder]))
  const references: Record<string, unknown> = {}
  for (const name of NAMES) {
    const { output, losses, float32, norms } = models[name]
    const difference = relative(await torchForward(name), output)
    const noise = Math.max(...losses.map((loss, step) => Math.abs(float32[step]! - loss) / loss))
    const range = [losses[0]!, losses.at(-1)!].map((loss) => loss.toFixed(4)).join(' to ')
    const gradients = [Math.min(...norms), Math.max(...norms)].map((norm) => norm.toPrecision(2)).join(' to ')
    console.log(
      `${name}: loss ${range}, gradient norms ${gradients}; ` +
        `forward differs by ${difference.toExponential(1)}, PyTorch's float32 losses by ${noise.toExponential(1)}`,
    )
    if (!(difference < FORWARD_TOLERANCE)) throw new Error(`${name}: onnxruntime and PyTorch do not compute the same outputs.`)
    references[name] = { ...torchTask(name), output: output.slice(0, KEPT), losses, float32Difference: Number(noise.toPrecision(2)) }
  }
  await writeFile(FILE, `${JSON.stringify({ torch: version, models: references })}\n`)
  execFileSync('npx', ['biome', 'format', '--write', FILE], { stdio: 'inherit' })
} finally {
  await rm(folder, { recursive: true })
}
