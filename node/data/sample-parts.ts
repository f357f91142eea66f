// Samples that a source gives part by part, gathered in memory.
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { MAX_FILE_BYTES } from './file.ts'
import { taskArrays } from './sample-memory.ts'
import type { DataSchema, RawSamples, SampleParts, Tell } from './spec.ts'

/** Bytes of the parts that are read at a time: little beside a data set, and so many that their number costs nothing. */
const PART_BYTES = 4 * 1024 * 1024
/** Milliseconds of reading between two words about it. */
const TELL_MILLIS = 3000
const WORD = Float32Array.BYTES_PER_ELEMENT

/** Bytes of a sample and its labels as a task takes them. */
export const sampleBytes = ({ sampleShape, labelShape }: Pick<RawSamples, 'sampleShape' | 'labelShape'>, { input }: DataSchema): number =>
  sizeOf(sampleShape) * (input.dtype === 'uint8' ? 1 : WORD) + sizeOf(labelShape) * WORD

/** The parts in their order, each with its place. @param from for errors @throws data-invalid where there are fewer or more than there should be */
export async function* inOrder(parts: SampleParts, schema: DataSchema, from: string, tell?: Tell): AsyncGenerator<Required<RawSamples>> {
  const limit = Math.max(1, Math.floor(PART_BYTES / sampleBytes(parts, schema)))
  let first = 0
  let said = performance.now()
  for await (const part of 'all' in parts ? parts.all(limit) : ranges(parts, limit)) {
    if (first + part.samples > parts.samples) break
    yield { ...part, first }
    first += part.samples
    if (first === parts.samples || performance.now() - said < TELL_MILLIS) continue
    said = performance.now()
    tell?.(`Read ${first.toLocaleString('en')} of ${parts.samples.toLocaleString('en')} samples ...`)
  }
  if (first !== parts.samples) throw new MurmurError('data-invalid', `${from} changed while it was read; start again.`)
}

async function* ranges(parts: Extract<SampleParts, { rows: unknown }>, limit: number): AsyncGenerator<RawSamples> {
  for (let begin = 0; begin < parts.samples; begin += limit) yield await parts.rows(begin, Math.min(parts.samples, begin + limit))
}

/** All parts as one. @param from for errors @throws limit-exceeded, data-invalid */
export async function readAll(parts: SampleParts, schema: DataSchema, from: string, tell?: Tell): Promise<RawSamples> {
  const { samples, sampleShape, labelShape } = parts
  const bytes = samples * sampleBytes(parts, schema)
  if (bytes > MAX_FILE_BYTES) {
    throw new MurmurError('limit-exceeded', `${from} takes ${bytes} bytes in memory; at most ${MAX_FILE_BYTES} are read: use less of it.`)
  }
  const [size, labels] = [sizeOf(sampleShape), sizeOf(labelShape)]
  const { x, y } = taskArrays(schema, samples * size, samples * labels)
  let [inputsFrom, labelsFrom] = [from, from]
  for await (const part of inOrder(parts, schema, from, tell)) {
    x.set(part.x, part.first * size)
    y.set(part.y, part.first * labels)
    ;({ inputsFrom, labelsFrom } = part)
  }
  return { x, y, samples, sampleShape, labelShape, inputsFrom, labelsFrom }
}
