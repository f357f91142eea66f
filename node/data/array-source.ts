// A data source made of named arrays, whatever file they lie in: inputs `x` and labels `y`, or as the user names them.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { listed } from './file.ts'
import { floats, inputValues, type NdArray, wholeNumbers } from './nd-array.ts'
import { fitShape } from './sample-shape.ts'
import type { DataSchema, DataSource, ModelHints, RawSamples, Selection } from './spec.ts'
import { inMemory, type StoredArray } from './stored-array.ts'

export interface ArrayFile {
  /** For people. */
  name: string
  /** The file or directory, for errors. */
  path: string
  names: readonly string[]
  /** One of `names`. @throws data-missing, data-invalid */
  read(name: string): Promise<NdArray>
  /** The same without reading it yet; absent or undefined where it is read as a whole or not at all. @throws data-missing, data-invalid */
  open?(name: string): Promise<StoredArray | undefined>
}

export const INPUT_NAME = 'x'
export const LABEL_NAME = 'y'
/** Bytes become what image models are trained on, numbers from 0 to 1. */
const BYTE_SCALE = 1 / 255
/** Labels that are looked through at a time. */
const SCAN_VALUES = 1_000_000

/** A test set is taken from `x_test` and `y_test`, for `images` from `images_test`, for `x_train` from `x_test`. */
const testName = (name: string) => `${name.replace(/_train$/, '')}_test`

/** @throws data-missing where it does not hold the arrays that are to be used */
export function arraySource(file: ArrayFile, { input = INPUT_NAME, label = LABEL_NAME }: Selection): DataSource {
  for (const [name, flag] of [
    [input, '--input'],
    [label, '--label'],
  ] as const) {
    if (!file.names.includes(name)) {
      throw new MurmurError(
        'data-missing',
        `${file.path} holds no array "${name}" but ${listed(file.names) || 'none at all'}; name the one to use with ${flag}.`,
      )
    }
  }
  const source: DataSource = {
    name: file.name,
    async propose(hints) {
      await using pair = (await openPair(input, label)) ?? stored(await readPair(input, label))
      return await propose(pair, hints)
    },
    train: async (schema) => convert(await readPair(input, label), schema),
    async parts(schema) {
      const pair = await openPair(input, label)
      if (pair === undefined) return undefined
      const { x, y, same } = pair
      return {
        ...{ samples: x.shape[0]!, sampleShape: x.shape.slice(1), labelShape: labelShape(y) },
        async rows(begin, end) {
          const inputs = await x.rows(begin, end)
          return convert({ x: inputs, y: same ? inputs : await y.rows(begin, end), same }, schema)
        },
        [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
      }
    },
  }
  const [testInput, testLabel] = [testName(input), testName(label)]
  if (testInput === input || !file.names.includes(testInput) || !file.names.includes(testLabel)) return source
  return { ...source, test: async (schema) => convert(await readPair(testInput, testLabel), schema) }

  async function readPair(inputName: string, labelName: string): Promise<Pair> {
    const same = inputName === labelName
    const [x, labels] = await Promise.all([file.read(inputName), same ? undefined : file.read(labelName)])
    const y = labels ?? x
    checkPair(x, y)
    return { x, y, same }
  }

  async function openPair(inputName: string, labelName: string): Promise<StoredPair | undefined> {
    const x = await file.open?.(inputName)
    if (x === undefined) return undefined
    const same = inputName === labelName
    try {
      const y = same ? x : await openOrRead(labelName)
      checkPair(x, y)
      const close = async () => {
        await x[Symbol.asyncDispose]()
        if (!same) await y[Symbol.asyncDispose]()
      }
      return { x, y, same, [Symbol.asyncDispose]: close }
    } catch (error) {
      await x[Symbol.asyncDispose]()
      throw error
    }
  }

  async function openOrRead(name: string): Promise<StoredArray> {
    return (await file.open?.(name)) ?? inMemory(await file.read(name))
  }
}

interface Pair {
  x: NdArray
  y: NdArray
  /** The model learns to give its input back. */
  same: boolean
}

interface StoredPair extends AsyncDisposable {
  x: StoredArray
  y: StoredArray
  same: boolean
}

const stored = ({ x, y, same }: Pair): StoredPair => ({ x: inMemory(x), y: inMemory(y), same, async [Symbol.asyncDispose]() {} })

type Shaped = Pick<NdArray, 'shape' | 'from'>

/** @throws data-invalid */
function checkPair(x: Shaped, y: Shaped): void {
  for (const { shape, from } of [x, y]) {
    if (shape.length === 0) throw new MurmurError('data-invalid', `${from} is a single value, not an array with one row a sample.`)
    if (sizeOf(shape) === 0) throw new MurmurError('data-invalid', `${from} holds nothing (${shape.join('x')}).`)
  }
  if (x.shape[0] !== y.shape[0]) {
    throw new MurmurError('data-invalid', `${x.from} holds ${x.shape[0]} samples, but ${y.from} ${y.shape[0]} labels.`)
  }
}

/** The shape of one sample's labels: a single one is [], also where each lies in a row of its own. */
function labelShape({ shape }: Shaped): number[] {
  const sample = shape.slice(1)
  return sizeOf(sample) === 1 ? [] : sample
}

async function propose({ x, y, same }: StoredPair, hints: ModelHints): Promise<DataSchema> {
  const shape = fitShape(hints.inputShape, x.shape.slice(1), x.from)
  const images = hints.input === 'float32' && x.type === 'uint8' && x.shape.length > 2
  const dtype = images ? 'uint8' : hints.input
  const labels = same ? shape : labelShape(y)
  return {
    input: { dtype, shape, scale: images ? BYTE_SCALE : 1, offset: 0 },
    target: { kind: hints.target, size: await targetSize(y, labels, hints), shape: labels },
  }
}

async function targetSize(y: StoredArray, shape: readonly number[], { target, classes }: ModelHints): Promise<number> {
  if (target === 'number' || target === 'binary') return sizeOf(shape)
  if (target === 'class') checkSingle(y)
  if (classes !== undefined) return classes
  const rows = Math.ceil(SCAN_VALUES / sizeOf(y.shape.slice(1)))
  let most = 0
  for (let begin = 0; begin < y.shape[0]!; begin += rows) {
    for (const label of wholeNumbers(await y.rows(begin, Math.min(begin + rows, y.shape[0]!)))) most = Math.max(most, label)
  }
  return most + 1
}

function convert({ x, y, same }: Pair, schema: DataSchema): RawSamples {
  if (schema.columns !== undefined) {
    const names = schema.columns.map(({ name }) => name)
    throw new MurmurError('data-invalid', `${x.from} is an array, but the task takes a table with the columns ${listed(names)}.`)
  }
  const { kind } = schema.target
  if (kind === 'class') checkSingle(y)
  const inputs = inputValues(x, schema.input.dtype)
  const ids = kind === 'class' || kind === 'tokens'
  return {
    x: inputs,
    y: ids ? wholeNumbers(y) : same ? scaled(inputs, schema.input) : floats(y.values),
    samples: x.shape[0]!,
    sampleShape: x.shape.slice(1),
    labelShape: labelShape(y),
    inputsFrom: x.from,
    labelsFrom: y.from,
    ...(x.first !== undefined && { first: x.first }),
  }
}

/** @throws data-invalid */
function checkSingle(y: Shaped): void {
  if (labelShape(y).length === 0) return
  throw new MurmurError('data-invalid', `${y.from} must hold one whole number a sample, and its shape is ${y.shape.join('x')}.`)
}

/** What the model sees of its inputs. */
const scaled = (inputs: RawSamples['x'], { offset, scale }: DataSchema['input']): Float32Array =>
  Float32Array.from(inputs, (value) => (value - offset) * scale)
