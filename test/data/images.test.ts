// Folders of images by class, as people have them.
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import t from 'tap'
import { createDecoder } from '../../node/data/images.ts'
import { loadData, proposeSchema } from '../../node/data/load.ts'
import type { ModelHints } from '../../node/data/spec.ts'
import { options } from './table-file.ts'

type Shape = ModelHints['inputShape']
const takes = (inputShape: Shape, target: ModelHints['target'] = 'class'): ModelHints => ({ input: 'float32', inputShape, target })
const RGB = [10, 100, 200]

/** A picture of one colour (or, with `channels` 1 or 4, of one grey or one colour with transparency). */
function picture(width: number, height: number, colour: readonly number[] = RGB) {
  const channels = colour.length as 1 | 3 | 4
  return sharp(Buffer.from(Array.from({ length: width * height }, () => colour).flat()), { raw: { width, height, channels } })
}

async function write(dir: string, name: string, image: Sharp | Uint8Array | string): Promise<string> {
  const path = join(dir, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, typeof image === 'string' || image instanceof Uint8Array ? image : await image.toBuffer())
  return path
}

async function use(dir: string, hints: ModelHints) {
  const schema = await proposeSchema(dir, {}, hints)
  return { schema, ...(await loadData(dir, schema, { ...options, withTest: true })) }
}

const near = (found: ArrayLike<number>, wanted: readonly number[]) =>
  found.length === wanted.length && wanted.every((value, i) => Math.abs(value - found[i]!) <= 3)

t.test('every folder is a class, in order of its name, and its images are brought to the size of the model', async (t) => {
  const dir = t.testdir()
  await write(dir, 'dog/2.jpg', picture(40, 20, [200, 0, 0]).jpeg())
  await write(dir, 'dog/1.webp', picture(5, 7, [0, 200, 0]).webp({ lossless: true }))
  await write(dir, 'cat/a.PNG', picture(8, 8).png())
  await write(dir, 'cat/b.gif', picture(8, 8, [0, 0, 0]).gif())
  await write(dir, 'newt/x.tiff', picture(3, 3, [255, 255, 255]).tiff())
  await write(dir, 'newt/y.avif', picture(16, 16, [255, 255, 255]).avif())
  for (const other of ['cat/notes.txt', 'cat/.DS_Store', '.cache/z.png', 'README.md']) await write(dir, other, 'nothing of ours')

  const { schema, train, classes, summary, test } = await use(dir, takes([3, 2, 4]))
  t.strictSame(schema, {
    input: { dtype: 'uint8', shape: [3, 2, 4], scale: 1 / 255, offset: 0 },
    target: { kind: 'class', size: 3, shape: [], names: ['cat', 'dog', 'newt'] },
  })
  t.strictSame([...train.y], [0, 0, 1, 1, 2, 2])
  t.strictSame(classes, [2, 2, 2])
  t.equal(test, undefined)
  t.match(summary, '(bytes as 0 to 1), 6 samples to train on')
  const sample = (i: number) => train.x.subarray(i * 24, i * 24 + 24)
  const plane = (value: number) => new Array<number>(8).fill(value)
  t.ok(near(sample(0), RGB.flatMap(plane)), 'one plane a colour')
  t.ok(near(sample(2), [0, 200, 0].flatMap(plane)), 'files by name')
  t.ok(near(sample(4), plane(255).concat(plane(255), plane(255))))
})

t.test('what a model takes decides over colours and their place', async (t) => {
  const dir = t.testdir()
  await write(dir, 'a/colour.png', picture(4, 4, [0, 255, 0]).png())
  await write(dir, 'b/grey.png', picture(4, 4, [77]).toColourspace('b-w').png())
  const grey = await use(dir, takes([1, 2, 2]))
  t.strictSame(grey.schema.input.shape, [1, 2, 2])
  t.ok(near(grey.train.x.subarray(4), [77, 77, 77, 77]))
  t.ok(grey.train.x[0]! > 150 && grey.train.x[0]! < 240, 'green is seen as bright')
  t.strictSame((await use(dir, takes([2, 2]))).train.x, grey.train.x, 'a model without an axis of channels takes grey')
  const last = await use(dir, takes([2, 2, 3]))
  t.ok(near(last.train.x.subarray(0, 6), [0, 255, 0, 0, 255, 0]), 'colours side by side where the model says so')
  t.ok(near(last.train.x.subarray(12), new Array(12).fill(77)))
})

t.test('where the model takes any size, that of the images is agreed, which is one for all', async (t) => {
  const dir = t.testdir()
  await write(dir, 'a/1.png', picture(6, 4).png())
  await write(dir, 'b/2.png', picture(6, 4).png())
  t.strictSame((await use(dir, takes([3, null, null]))).schema.input.shape, [3, 4, 6])
  t.strictSame((await use(dir, takes([null, null, null]))).schema.input.shape, [3, 4, 6])
  await write(dir, 'b/3.png', picture(5, 4).png())
  await t.rejects(use(dir, takes([3, null, null])), {
    code: 'data-invalid',
    message: /3\.png is 5x4 and .*1\.png 6x4, and the model takes any size/,
  })
  t.equal((await use(dir, takes([3, 4, 6]))).train.samples, 3)
})

t.test('a photo is turned as its camera says, deep colours and transparency become plain bytes', async (t) => {
  const dir = t.testdir()
  // Left half black, right half white; orientation 3 means upside down.
  const halves = Buffer.from(Array.from({ length: 64 }, (_, i) => (i % 8 < 4 ? [0, 0, 0] : [255, 255, 255])).flat())
  const photo = sharp(halves, { raw: { width: 8, height: 8, channels: 3 } })
  await write(dir, 'a/1.jpg', photo.clone().jpeg({ quality: 100 }))
  await write(dir, 'a/2.jpg', photo.clone().withMetadata({ orientation: 3 }).jpeg({ quality: 100 }))
  await write(dir, 'b/1.png', picture(2, 2, [255, 255, 255, 0]).png())
  await write(dir, 'b/2.png', picture(2, 2).toColourspace('rgb16').png())
  const { train } = await use(dir, takes([1, 1, 2]))
  const bright = Array.from(train.x.subarray(0, 6), (value) => value > 127)
  t.strictSame(bright, [false, true, true, false, false, false], 'upright; what is transparent is black')
  const [r = 0, g = 0, b = 0] = RGB
  const { train: colours } = await use(dir, takes([3, 1, 1]))
  t.ok(near(colours.x.subarray(9), [r, g, b]))
})

t.test('train and test (or val) may be folders of their own; yes or no takes two classes', async (t) => {
  const dir = t.testdir()
  for (const name of ['train/no/1.png', 'train/yes/1.png', 'train/yes/2.png', 'val/yes/3.png']) await write(dir, name, picture(2, 2).png())
  const { train, test, schema } = await use(dir, takes([3, 2, 2], 'binary'))
  t.strictSame(schema.target, { kind: 'binary', size: 1, shape: [], names: ['no', 'yes'] })
  t.strictSame([train.y, test?.y], [Float32Array.of(0, 1, 1), Float32Array.of(1)])
  await write(dir, 'test/no/4.png', picture(2, 2).png())
  t.strictSame((await use(dir, takes([3, 2, 2]))).test?.y, Int32Array.of(0), 'test before val')
  const vehicles = t.testdir({ vehicles: {} })
  for (const name of ['vehicles/train/1.png', 'vehicles/tram/1.png']) await write(vehicles, name, picture(2, 2).png())
  t.strictSame((await use(join(vehicles, 'vehicles'), takes([3, 2, 2]))).schema.target.names, ['train', 'tram'])
})

t.test('a joiner may lack classes, but has none that the task does not know', async (t) => {
  const dir = t.testdir()
  for (const name of ['all/cat/1.png', 'all/dog/1.png', 'some/dog/1.png', 'other/dog/1.png', 'other/emu/1.png']) {
    await write(dir, name, picture(2, 2).png())
  }
  const schema = await proposeSchema(join(dir, 'all'), {}, takes([3, 2, 2]))
  t.strictSame((await loadData(join(dir, 'some'), schema, options)).train.y, Int32Array.of(1))
  await t.rejects(loadData(join(dir, 'other'), schema, options), {
    code: 'data-invalid',
    message: `holds a folder "emu", which is none of the task's classes (cat, dog).`,
  })
  const others = { ...schema, target: { kind: 'class', size: 2, shape: [] } } as typeof schema
  await t.rejects(loadData(join(dir, 'some'), others, options), { message: 'the task was founded with data of another kind' })
})

t.test('what cannot be used is told in one sentence that names it', async (t) => {
  const cases: [string, Record<string, Sharp | Uint8Array | string>, ModelHints, string | RegExp][] = [
    ['no image', { 'a/1.png': picture(2, 2).png(), 'b/2.png': 'not a picture' }, takes([3, 2, 2]), /b\/2\.png cannot be read as an image/],
    ['an empty file', { 'a/1.png': '' }, takes([3, 2, 2]), /a\/1\.png cannot be read as an image/],
    [
      'SVG by another name',
      { 'a/1.png': '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>' },
      takes([3, 2, 2]),
      'a/1.png cannot be read',
    ],
    [
      'torn',
      { 'a/1.png': (await picture(90, 90).png({ compressionLevel: 0 }).toBuffer()).subarray(0, 5000) },
      takes([3, 2, 2]),
      'a/1.png cannot be read',
    ],
    [
      'BMP',
      { 'a/1.png': picture(2, 2).png(), 'a/2.bmp': 'BM' },
      takes([3, 2, 2]),
      'a/2.bmp is an image of a kind that is not read; convert it to PNG',
    ],
    ['an empty class', { 'a/1.png': picture(2, 2).png(), 'b/notes.txt': '' }, takes([3, 2, 2]), '/b holds no images'],
    [
      'side by side',
      { '1.png': picture(2, 2).png() },
      takes([3, 2, 2]),
      'holds images side by side; put those of each class into a folder',
    ],
    [
      'a name to rewrite terminals',
      { 'a\u001b[2J/1.png': picture(2, 2).png() },
      takes([3, 2, 2]),
      /folder "a \[2J" with control characters/,
    ],
    [
      'a flat model',
      { 'a/1.png': picture(2, 2).png() },
      takes([784]),
      'takes a model whose input is [3, height, width], or [1, height, width]',
    ],
    [
      'numbers',
      { 'a/1.png': picture(2, 2).png() },
      takes([3, 2, 2], 'number'),
      'holds images of 1 classes (a), but the model predicts numbers',
    ],
    [
      'three for yes or no',
      { 'a/1.png': '', 'b/1.png': '', 'c/1.png': '' },
      takes([3, 2, 2], 'binary'),
      'but the model predicts yes or no',
    ],
  ]
  for (const [i, [name, files, hints, message]] of cases.entries()) {
    const dir = join(t.testdirName, String(i))
    for (const [path, image] of Object.entries(files)) await write(dir, path, image)
    await t.rejects(use(dir, hints), { code: 'data-invalid', message }, name)
  }
})

t.test('links lead nowhere but to the folder itself', async (t) => {
  const dir = t.testdir({ mine: {}, data: {} })
  await write(dir, 'mine/private.png', picture(2, 2).png())
  await write(dir, 'data/a/1.png', picture(2, 2).png())
  await symlink('1.png', join(dir, 'data/a/2.png'))
  await symlink('a', join(dir, 'data/b'))
  t.strictSame((await use(join(dir, 'data'), takes([3, 2, 2]))).train.y, Int32Array.of(0, 0, 1, 1))
  await symlink(join(dir, 'mine/private.png'), join(dir, 'data/a/3.png'))
  await t.rejects(use(join(dir, 'data'), takes([3, 2, 2])), { code: 'data-invalid', message: '3.png is a link that leads out of' })
  const other = join(dir, 'other')
  await write(other, 'a/1.png', picture(2, 2).png())
  await symlink(join(dir, 'mine'), join(other, 'b'))
  await t.rejects(use(other, takes([3, 2, 2])), { code: 'data-invalid', message: 'b is a link that leads out of' })
})

t.test('a picture of more pixels than any camera gives is refused before it is unpacked', async (t) => {
  const dir = t.testdir()
  const png = Buffer.from(await picture(2, 2).png().toBuffer())
  const bomb = Uint8Array.from(await readFile(await write(dir, 'a/1.png', png)))
  new DataView(bomb.buffer).setUint32(16, 60_000)
  new DataView(bomb.buffer).setUint32(20, 60_000)
  await write(dir, 'a/1.png', bomb)
  await t.rejects(use(dir, takes([3, 2, 2])), { code: 'data-invalid', message: '1.png cannot be read as an image' })
})

t.test('without sharp, the command that gets it is told', async (t) => {
  const missing = () => Promise.reject(new Error('Cannot find package'))
  await t.rejects(createDecoder(missing), { code: 'data-missing', message: 'npm install sharp' })
})
