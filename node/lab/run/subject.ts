// What the virtual peers learn, made once for all of them: the task as a founder makes it, the data in memory that workers share, and of
// each peer its samples as a list of rows.
import { isClasses, loadModel, variancesIn } from '../../../models/index.ts'
import { isZooModel, ZOO_TASKS } from '../../../models/zoo/index.ts'
import { parseRule } from '../../../protocol/aggregation/index.ts'
import { isMurmurError, MurmurError } from '../../../protocol/errors.ts'
import { openTask, type Task } from '../../../protocol/task.ts'
import { checkSamples } from '../../data/check-samples.ts'
import { isTablePath, openTable } from '../../data/duckdb.ts'
import { openData } from '../../data/load.ts'
import { allRows, rowsFrom } from '../../data/rows.ts'
import { gather, sharedSet } from '../../data/sample-memory.ts'
import type { DataSchema, DataSet, RawSamples, Selection } from '../../data/spec.ts'
import { splitValidation } from '../../data/split.ts'
import { defaultLabel, findColumns, textOf } from '../../data/table-columns.ts'
import { parseOptions, taskOptions } from '../../options.ts'
import { foundTask } from '../../peer/found.ts'
import { obtainModel } from '../../peer/obtain-task.ts'
import type { Random } from '../../ports.ts'
import { sha256 as hash } from '../../sha256.ts'
import { createVerifier } from '../../store/verify.ts'
import type { DataSets } from '../../train/data-set.ts'
import { parseLabAttack } from '../attacks/index.ts'
import { aboutData } from '../poisoned.ts'
import { cutData, parsePartition } from './partition.ts'
import { shareOf } from './promises.ts'
import { seededRandom, seededSigner } from './seeded.ts'
import type { LabOptions } from './types.ts'

/** Share of the data that is kept for testing where the source has no test set: as MNIST's. */
const TEST_SHARE = 1 / 6
/** Virtual seconds that a round gathers at most beyond a network's usual: announcement, hash list and chunk, each there and back, and twice. */
const DELAYS_GATHERED = 10

export interface Subject {
  task: Task
  graph: Uint8Array
  initial: Float32Array
  /** Where a vector holds variances. */
  variances: readonly (readonly [number, number])[]
  /**
   * `train` holds the honest samples, and behind them those that attackers have changed; `test` is the common one; `validation` is what
   * measures a backdoor's success, or empty.
   */
  sets: DataSets
  /** Rows of `train` of each honest peer, then of each attacker that trains. */
  rows: Int32Array[]
  /** Of one honest peer, at the least and at the most. */
  samples: { least: number; most: number; test: number }
}

/** @param honest peers that the data is dealt to. @throws what founding, reading and cutting throw */
export async function makeSubject(options: LabOptions, honest: number, tell: (text: string) => void): Promise<Subject> {
  const { seed, data, label, attack: attackText } = options
  const partition = parsePartition(options.partition)
  const column = partition.kind === 'natural' ? partition.column : undefined
  const selection: Selection = { ...(label !== undefined && { label }), ...(column !== undefined && (await without(data, column, label))) }
  tell('Reading the data ...')
  const { task, graph, initial } = await found(options, selection, seededRandom(`${seed} lab founding`))
  const schema = task.manifest.data
  const source = await openData(data, selection)
  const raw = await source.train(schema, tell)
  checkSamples(raw, schema)
  const all = allRows(raw.samples)
  const { train: kept, validation: held } = splitValidation(all, source.test === undefined ? TEST_SHARE : 0, `${seed} lab test`)
  const test = source.test === undefined ? gather(raw, held, schema) : await wholeOf(await source.test(schema, tell), schema)
  const honestSet = gather(raw, kept, schema)
  const values = column === undefined ? undefined : await valuesOf(data, column)
  const cuttable = { samples: kept.length, labels: labelsOf(honestSet, schema), groups: values && Array.from(kept, (row) => values[row]!) }
  const parts = cutData(cuttable, partition, honest, seed)
  const attack = attackText === undefined ? undefined : parseLabAttack(attackText)
  const about = aboutData(task.manifest, `${seed} lab attack`)
  const poison = attack?.poison
  const poisoned =
    poison === undefined
      ? []
      : Array.from({ length: options.byzantine }, (_, j) => poison(partOf(honestSet, parts[j % honest]!, schema), about))
  const sizes = parts.map((part) => part.length)
  return {
    ...{ task, graph, initial },
    variances: variancesIn(loadModel(graph)),
    sets: {
      train: joined([honestSet, ...poisoned], schema),
      validation: attack?.success?.(test, about) ?? partOf(test, new Int32Array(), schema),
      test,
    },
    rows: [...parts, ...rowsBehind(kept.length, poisoned)].map(shared),
    samples: { least: Math.min(...sizes), most: Math.max(...sizes), test: test.samples },
  }
}

async function found(
  options: LabOptions,
  selection: Selection,
  random: Random,
): Promise<{ task: Task; graph: Uint8Array; initial: Float32Array }> {
  const { peers, rule, model, data, rounds, steps, batchSize, lr, momentum, seed, codec, delay } = options
  const loss = options.loss ?? (isZooModel(model) ? ZOO_TASKS[model].loss : 'cross-entropy')
  const defaults = parseOptions(taskOptions, {})
  const chosen = parseOptions(taskOptions, {
    ...{ name: 'lab', model, rounds, steps, batchSize, lr, momentum, seed, loss, codec },
    // A rule for the lab alone cannot be agreed on in a network; the peers are given it all the same.
    rule: isProduct(rule) ? rule : 'mean',
    minPeers: peers,
    byzantineShare: shareOf(options) / 10_000,
    gatherMaxSeconds: defaults.gatherMaxSeconds + (DELAYS_GATHERED * delay) / 1000,
    testTask: true,
  })
  const signer = seededSigner(`${seed} lab founder`)
  const { envelope, objects } = await foundTask(chosen, { data, ...selection }, { signer, random, hash })
  const task = openTask(envelope, { verify: createVerifier(), hash })
  const { target } = task.manifest.data
  if (target.kind === 'number') {
    throw new MurmurError(
      'task-unsupported',
      `The lab compares accuracies, and the model ${model} predicts numbers; give one that tells classes.`,
    )
  }
  const store = { getObject: async (root: string) => objects.find((object) => object.hash === root)?.bytes }
  const absent = () => Promise.reject(new MurmurError('internal', 'The lab has founded a task without its model.'))
  const { graph, initial } = await obtainModel(task, store, absent, () => {})
  return { task: { ...task, manifest: { ...task.manifest, rule } }, graph, initial }
}

/** Whether a network may use the rule; else it has no kernels and is run as it is written. */
export function isProduct(rule: string): boolean {
  try {
    parseRule(rule)
    return true
  } catch (error) {
    if (isMurmurError(error, 'task-invalid')) return false
    throw error
  }
}

async function wholeOf(raw: RawSamples, schema: DataSchema): Promise<DataSet> {
  checkSamples(raw, schema)
  return gather(raw, allRows(raw.samples), schema)
}

const labelsOf = ({ y }: DataSet, { target }: DataSchema): Int32Array | undefined =>
  target.kind === 'class' && isClasses(target)
    ? (y as Int32Array)
    : target.kind === 'binary' && target.size === 1
      ? Int32Array.from(y)
      : undefined

const shapesOf = ({ input, target }: DataSchema) => ({ sampleShape: input.shape, labelShape: target.shape })

const partOf = (set: DataSet, rows: Int32Array, schema: DataSchema): DataSet =>
  gather({ ...set, ...shapesOf(schema), inputsFrom: '', labelsFrom: '' }, rows, schema)

function joined(sets: readonly DataSet[], schema: DataSchema): DataSet {
  if (sets.length === 1) return sets[0]!
  const whole = sharedSet(
    schema,
    shapesOf(schema),
    sets.reduce((sum, { samples }) => sum + samples, 0),
  )
  let [x, y] = [0, 0]
  for (const set of sets) {
    whole.x.set(set.x, x)
    whole.y.set(set.y, y)
    x += set.x.length
    y += set.y.length
  }
  return whole
}

function rowsBehind(begin: number, sets: readonly DataSet[]): Int32Array[] {
  let first = begin
  return sets.map(({ samples }) => {
    const rows = rowsFrom(first, samples)
    first += samples
    return rows
  })
}

/** Told to a worker with each call, and not copied. */
function shared(rows: Int32Array): Int32Array {
  const copy = new Int32Array(new SharedArrayBuffer(rows.byteLength))
  copy.set(rows)
  return copy
}

/** What a table is cut by is no input of the model. @throws bad-argument where it is no table */
async function without(data: string, column: string, label: string | undefined): Promise<Selection> {
  await using table = await tableOf(data, column)
  const [cut] = findColumns(table, [column])
  const target = label ?? defaultLabel(table)
  if (cut!.name === target)
    throw new MurmurError('bad-argument', `--partition cannot be natural:${column}: that is the label; give shards:K instead.`)
  const inputs = table.columns.filter(({ name }) => name !== column && name !== target)
  return { input: inputs.map(({ name }) => name).join(',') }
}

async function valuesOf(data: string, column: string): Promise<string[]> {
  await using table = await tableOf(data, column)
  const [cut] = findColumns(table, [column])
  return (await table.rows(`SELECT ${textOf(cut!)} FROM source`)).map(([value]) => String(value))
}

async function tableOf(data: string, column: string) {
  if (isTablePath(data)) return await openTable(data)
  throw new MurmurError(
    'bad-argument',
    `--partition cannot be natural:${column}: ${data} is no table with columns (.csv, .jsonl, .parquet).`,
  )
}
