// A data source made of named arrays, whatever file they lie in: inputs `x` and labels `y`, or as the user names them.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { listed } from './file.ts'
import { floats, inputValues, type NdArray, wholeNumbers } from './nd-array.ts'
import { fitShape } from './sample-shape.ts'
import type { DataSchema, DataSource, ModelHints, RawSamples, Selection } from './spec.ts'

export interface ArrayFile {
  /** For people. */
  name: string
  /** The file or directory, for errors. */
  path: string
  names: readonly string[]
  /** One of `names`. @throws data-missing, data-invalid */
  read(name: string): Promise<NdArray>
}

export const INPUT_NAME = 'x'
export const LABEL_NAME = 'y'
/** Bytes become what image models are trained on, numbers from 0 to 1. */
const BYTE_SCALE = 1 / 255

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
    propose: async (hints) => propose(await readPair(input, label), hints),
    train: async (schema) => convert(await readPair(input, label), schema),
  }
  const [testInput, testLabel] = [testName(input), testName(label)]
  if (testInput === input || !file.names.includes(testInput) || !file.names.includes(testLabel)) return source
  return { ...source, test: async (schema) => convert(await readPair(testInput, testLabel), schema) }

  async function readPair(inputName: string, labelName: string): Promise<Pair> {
    const same = inputName === labelName
    const [x, labels] = await Promise.all([read(inputName), same ? undefined : read(labelName)])
    const y = labels ?? x
    if (x.shape[0] !== y.shape[0]) {
      throw new MurmurError('data-invalid', `${x.from} holds ${x.shape[0]} samples, but ${y.from} ${y.shape[0]} labels.`)
    }
    return { x, y, same }
  }

  async function read(name: string): Promise<NdArray> {
    const array = await file.read(name)
    if (array.shape.length === 0)
      throw new MurmurError('data-invalid', `${array.from} is a single value, not an array with one row a sample.`)
    if (array.values.length === 0) throw new MurmurError('data-invalid', `${array.from} holds nothing (${array.shape.join('x')}).`)
    return array
  }
}

interface Pair {
  x: NdArray
  y: NdArray
  /** The model learns to give its input back. */
  same: boolean
}

/** The shape of one sample's labels: a single one is [], also where each lies in a row of its own. */
function labelShape({ shape }: NdArray): number[] {
  const sample = shape.slice(1)
  return sizeOf(sample) === 1 ? [] : sample
}

function propose({ x, y, same }: Pair, hints: ModelHints): DataSchema {
  const shape = fitShape(hints.inputShape, x.shape.slice(1), x.from)
  const images = hints.input === 'float32' && x.type === 'uint8' && x.shape.length > 2
  const dtype = images ? 'uint8' : hints.input
  const labels = same ? shape : labelShape(y)
  return {
    input: { dtype, shape, scale: images ? BYTE_SCALE : 1, offset: 0 },
    target: { kind: hints.target, size: targetSize(y, labels, hints), shape: labels },
  }
}

function targetSize(y: NdArray, shape: readonly number[], { target, classes }: ModelHints): number {
  if (target === 'number' || target === 'binary') return sizeOf(shape)
  if (target === 'class') checkSingle(y)
  return classes ?? wholeNumbers(y).reduce((most, label) => Math.max(most, label), 0) + 1
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
  }
}

/** @throws data-invalid */
function checkSingle(y: NdArray): void {
  if (labelShape(y).length === 0) return
  throw new MurmurError('data-invalid', `${y.from} must hold one whole number a sample, and its shape is ${y.shape.join('x')}.`)
}

/** What the model sees of its inputs. */
const scaled = (inputs: RawSamples['x'], { offset, scale }: DataSchema['input']): Float32Array =>
  Float32Array.from(inputs, (value) => (value - offset) * scale)
