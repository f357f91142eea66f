// A folder of images as data: the class of each is the name of the folder that it lies in.
import { resolve } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { sizeOf } from '../../protocol/layout.ts'
import { listed, namesIn, shown } from './file.ts'
import { findImageClasses, type ImageClass } from './image-classes.ts'
import { createDecoder, IMAGE_FILE, type Picture, pictureShape } from './images.ts'
import { readAll } from './sample-parts.ts'
import type { DataFormat, DataSchema, ModelHints, RawSamples, SampleParts } from './spec.ts'

/** Images decoded at once: the threads that Node has for it. */
const IN_FLIGHT = 4
/** Images of a part at most: a few seconds of decoding, so that it can be told how far it is. */
const PART_IMAGES = 256

interface LabelledImage {
  path: string
  label: number
}

export const imageFolder: DataFormat = {
  usage: 'a directory with a folder of images for each class',
  async open(spec) {
    const path = resolve(spec)
    const names = await namesIn(path)
    if (names === undefined) return undefined
    const found = await findImageClasses(path)
    if (found === undefined) {
      if (!names.some((name) => IMAGE_FILE.test(name))) return undefined
      throw new MurmurError('data-invalid', `${path} holds images side by side; put those of each class into a folder named like it.`)
    }
    const { train, test } = found
    return {
      name: path,
      propose: (hints) => propose(path, train, hints),
      train: async (schema, tell) => readAll(await partsOf(path, train, schema), schema, path, tell),
      parts: (schema) => partsOf(path, train, schema),
      ...(test !== undefined && { test: async (schema, tell) => readAll(await partsOf(path, test, schema), schema, path, tell) }),
    }
  },
}

async function propose(path: string, classes: readonly ImageClass[], { target: kind, inputShape }: ModelHints): Promise<DataSchema> {
  const names = classes.map(({ name }) => name)
  if (kind !== 'class' && !(kind === 'binary' && names.length === 2)) {
    const what = kind === 'binary' ? 'yes or no' : kind === 'tokens' ? 'a class at each position' : 'numbers'
    throw new MurmurError(
      'data-invalid',
      `${path} holds images of ${names.length} classes (${listed(names, 5)}), but the model predicts ${what}; give a model and a loss for classes.`,
    )
  }
  const picture = await settle(pictureShape(inputShape), classes)
  return {
    input: { dtype: 'uint8', shape: shapeOf(picture, inputShape.length), scale: 1 / 255, offset: 0 },
    target: { kind, size: kind === 'class' ? names.length : 1, shape: [], names },
  }
}

const shapeOf = ({ channels, height, width, channelsLast }: Picture, rank: number): number[] =>
  rank === 2 ? [height, width] : channelsLast ? [height, width, channels] : [channels, height, width]

/** Where the model takes any size, that of the images, which then is one for all. @throws data-invalid */
async function settle(picture: ReturnType<typeof pictureShape>, classes: readonly ImageClass[]): Promise<Picture> {
  const { channels, height, width, channelsLast } = picture
  const known = { channels: channels ?? 3, channelsLast: channelsLast ?? false } as const
  if (height !== null && width !== null) return { ...known, height, width }
  const decoder = await createDecoder()
  const paths = classes.flatMap(({ files }) => files)
  const first = { path: paths[0]!, ...(await decoder.sizeOf(paths[0]!)) }
  await inParallel(paths, async (path) => {
    const size = await decoder.sizeOf(path)
    if (size.height === first.height && size.width === first.width) return
    throw new MurmurError(
      'data-invalid',
      `${path} is ${size.width}x${size.height} and ${first.path} ${first.width}x${first.height}, and the model takes any size: export it for one size, to which all are brought, or resize the images.`,
    )
  })
  return { ...known, height: height ?? first.height, width: width ?? first.width }
}

async function partsOf(path: string, classes: readonly ImageClass[], { input, target, columns }: DataSchema): Promise<SampleParts> {
  const names = target.names
  if (names === undefined || columns !== undefined || input.dtype !== 'uint8') {
    throw new MurmurError('data-invalid', `${path} is a folder of images by class, and the task was founded with data of another kind.`)
  }
  const ids = new Map(names.map((name, id) => [name, id]))
  const unknown = classes.find(({ name }) => !ids.has(name))
  if (unknown !== undefined) {
    throw new MurmurError(
      'data-invalid',
      `${path} holds a folder "${shown(unknown.name)}", which is none of the task's classes (${listed(names, 5)}).`,
    )
  }
  const picture = pictureShape(input.shape) as Picture
  const images = classes.flatMap(({ name, files }) => files.map((path): LabelledImage => ({ path, label: ids.get(name)! })))
  const decoder = await createDecoder()
  return {
    samples: images.length,
    sampleShape: input.shape,
    labelShape: [],
    async *all(limit) {
      const step = Math.min(limit, PART_IMAGES)
      for (let begin = 0; begin < images.length; begin += step) yield await read(images.slice(begin, begin + step))
    },
    async [Symbol.asyncDispose]() {},
  }

  async function read(part: readonly LabelledImage[]): Promise<RawSamples> {
    const size = sizeOf(input.shape)
    const x = new Uint8Array(part.length * size)
    await inParallel(part, async ({ path }, i) => x.set(await decoder.decode(path, picture), i * size))
    const labels = part.map(({ label }) => label)
    return {
      ...{ x, y: target.kind === 'class' ? Int32Array.from(labels) : Float32Array.from(labels) },
      ...{ samples: part.length, sampleShape: input.shape, labelShape: [], inputsFrom: path, labelsFrom: path },
    }
  }
}

/** A few at a time, in order; after a failure no more are begun. */
async function inParallel<T>(items: readonly T[], work: (item: T, i: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < items.length) {
      const i = next++
      try {
        await work(items[i]!, i)
      } catch (error) {
        next = items.length
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
}
