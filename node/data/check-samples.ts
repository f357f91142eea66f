// Whether samples, whatever source they come from, are what a task agreed on.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { checkShape, shapeText } from './sample-shape.ts'
import type { DataSchema, RawSamples } from './spec.ts'

/** @throws data-invalid */
export function checkSamples(raw: RawSamples, { input, target, vocabulary }: DataSchema): void {
  checkShape(raw.sampleShape, input.shape, raw.inputsFrom, `the task takes ${shapeText(input.shape)}`)
  const dtype = raw.x instanceof Uint8Array ? 'uint8' : raw.x instanceof Int32Array ? 'int64' : 'float32'
  if (input.dtype !== dtype && !(dtype === 'uint8' && input.dtype === 'float32')) {
    throw new MurmurError('data-invalid', `${raw.inputsFrom} holds ${dtype} values, but the task takes ${input.dtype}.`)
  }
  const { first = 0 } = raw
  if (dtype === 'float32') checkFinite(raw.x, raw.inputsFrom, first * sizeOf(raw.sampleShape))
  if (vocabulary !== undefined) {
    const at = raw.x.findIndex((id) => id < 0 || id >= vocabulary.length)
    if (at >= 0) throw badId(raw.inputsFrom, 'token', raw.x[at], first + sampleOf(at, raw.sampleShape), vocabulary.length)
  }
  checkLabels(raw, target)
}

function checkLabels({ y, labelShape, labelsFrom, first = 0 }: RawSamples, { kind, size, shape }: DataSchema['target']): void {
  if (sizeOf(labelShape) !== sizeOf(shape)) {
    throw new MurmurError(
      'data-invalid',
      `${labelsFrom} holds labels of ${shapeText(labelShape)}, but the task predicts ${shapeText(shape)}.`,
    )
  }
  if (kind === 'number' || kind === 'binary') checkFinite(y, labelsFrom, first * sizeOf(labelShape))
  if (kind === 'number') return
  if (kind === 'binary') {
    const at = y.findIndex((label) => label !== 0 && label !== 1)
    if (at < 0) return
    throw new MurmurError(
      'data-invalid',
      `${labelsFrom} holds label ${y[at]} for sample ${first + sampleOf(at, shape)}, but the task takes 0 and 1.`,
    )
  }
  // A negative id marks a position whose token is not to be learned.
  const least = kind === 'class' ? 0 : Number.NEGATIVE_INFINITY
  const at = y.findIndex((label) => label < least || label >= size)
  if (at >= 0) throw badId(labelsFrom, kind === 'class' ? 'label' : 'token', y[at], first + sampleOf(at, shape), size)
}

function badId(from: string, what: 'label' | 'token', id: number | undefined, sample: number, size: number): MurmurError {
  const known = what === 'label' ? 'classes' : 'tokens'
  return new MurmurError(
    'data-invalid',
    `${from} holds ${what} ${id} for sample ${sample}, but the task's ${known} go from 0 to ${size - 1}.`,
  )
}

/** @param before values of the source that lie before these */
function checkFinite(values: RawSamples['x'], from: string, before: number): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]))
      throw new MurmurError('data-invalid', `${from} holds ${values[i]} as value ${before + i}; remove or replace it.`)
  }
}

const sampleOf = (at: number, shape: readonly number[]): number => Math.floor(at / sizeOf(shape))
