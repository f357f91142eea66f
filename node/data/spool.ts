// Samples that a source can only give in their order (tables, images), laid out in a temporary file from which any of them can be read.
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { checkSamples } from './check-samples.ts'
import { bytesOf, readFull } from './file.ts'
import { taskArrays } from './sample-memory.ts'
import { inOrder } from './sample-parts.ts'
import type { DataSchema, RawSamples, SampleParts, SampleRows, Tell } from './spec.ts'

/** On many systems /tmp lies in memory, which is what there is too little of; this does not. */
const DISK_FOLDER = '/var/tmp'

/** The file has no name and is gone with this process, however it ends. @throws disk-failed, data-invalid, data-missing */
export async function spool(parts: SampleParts, schema: DataSchema, from: string, tell?: Tell): Promise<SampleRows> {
  await using _ = parts
  const { samples, sampleShape, labelShape } = parts
  const [size, labels] = [sizeOf(sampleShape), sizeOf(labelShape)]
  const { x: unit } = taskArrays(schema, 0, 0)
  const labelsAt = samples * size * unit.BYTES_PER_ELEMENT
  const places = (first: number) =>
    [first * size * unit.BYTES_PER_ELEMENT, labelsAt + first * labels * Float32Array.BYTES_PER_ELEMENT] as const
  const { file, folder } = await openNameless()
  let sources = { inputsFrom: from, labelsFrom: from }
  try {
    for await (const part of inOrder(parts, schema, from, tell)) {
      checkSamples(part, schema)
      sources = { inputsFrom: part.inputsFrom, labelsFrom: part.labelsFrom }
      const { x, y } = taskArrays(schema, part.x.length, part.y.length)
      x.set(part.x)
      y.set(part.y)
      const [inputsAt, labelsAt] = places(part.first)
      await writeAll(file, x, inputsAt, folder)
      await writeAll(file, y, labelsAt, folder)
    }
  } catch (error) {
    await file.close()
    throw error
  }
  return {
    ...{ samples, sampleShape, labelShape },
    async rows(begin, end) {
      const count = end - begin
      const { x, y } = taskArrays(schema, count * size, count * labels)
      const [inputsAt, labelsAt] = places(begin)
      await readFull(file, x, inputsAt, from)
      await readFull(file, y, labelsAt, from)
      return { x, y, samples: count, sampleShape, labelShape, ...sources, first: begin }
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}

async function openNameless(): Promise<{ file: FileHandle; folder: string }> {
  const folders = process.env.TMPDIR === undefined ? [DISK_FOLDER, tmpdir()] : [process.env.TMPDIR]
  let failure: unknown
  for (const folder of folders) {
    const path = join(folder, `murmur-${randomBytes(8).toString('hex')}`)
    try {
      const file = await open(path, 'wx+', 0o600)
      await unlink(path)
      return { file, folder }
    } catch (cause) {
      failure = cause
    }
  }
  throw noDisk(folders.join(' or '), failure)
}

async function writeAll(file: FileHandle, values: RawSamples['x'], position: number, folder: string): Promise<void> {
  const bytes = bytesOf(values)
  try {
    for (let done = 0; done < bytes.length; ) {
      done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten
    }
  } catch (cause) {
    throw noDisk(folder, cause)
  }
}

const noDisk = (folder: string, cause: unknown): MurmurError =>
  new MurmurError(
    'disk-failed',
    `The data is larger than --memory, and its samples cannot be laid out in ${folder} (${(cause as NodeJS.ErrnoException).code ?? String(cause)}); make room there, name another folder in TMPDIR, or raise --memory.`,
    { cause },
  )
