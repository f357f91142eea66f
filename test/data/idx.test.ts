import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { parseIdx, readIdx } from '../../node/data/idx.ts'
import { idxFile } from './idx-file.ts'

t.test('values of each type and any shape are read as they were written, plain or gzipped', async (t) => {
  const dir = t.testdir()
  const cases = [
    { type: 8, shape: [2, 3], data: Uint8Array.of(0, 1, 2, 3, 254, 255) },
    { type: 8, shape: [4], data: Uint8Array.of(9, 8, 7, 6) },
    { type: 12, shape: [3], data: Int32Array.of(-1, 0, 2 ** 31 - 1) },
    { type: 13, shape: [1, 2, 2], data: Float32Array.of(0.5, -1, 3e38, Number.POSITIVE_INFINITY) },
  ]
  for (const { type, shape, data } of cases) {
    const bytes = idxFile(type, shape, [...data])
    await writeFile(join(dir, 'plain'), bytes)
    await writeFile(join(dir, 'packed'), gzipSync(bytes))
    for (const name of ['plain', 'packed']) {
      const read = await readIdx(join(dir, name))
      t.strictSame(read.shape, shape)
      t.strictSame(read.data.constructor.name, bytesToo(data))
      t.strictSame([...read.data], [...data])
    }
  }
})

/** Bytes come as a view of the file's Buffer. */
const bytesToo = (data: object) => (data instanceof Uint8Array ? 'Buffer' : data.constructor.name)

t.test('a file that breaks the format is refused in one sentence with its path', async (t) => {
  const good = idxFile(8, [2, 2], [1, 2, 3, 4])
  const cases: [string, Buffer][] = [
    ['it is empty', Buffer.alloc(0)],
    ['it has only 3 bytes', good.subarray(0, 3)],
    ['it does not begin with two zero bytes', Buffer.from('not an IDX file')],
    ['its values have type 9', idxFile(9, [1], [1])],
    ['it has 0 dimensions', Buffer.of(0, 0, 8, 0)],
    ['it has 200 dimensions', Buffer.of(0, 0, 8, 200, 1, 1)],
    ['it ends within its header, after 9 bytes', good.subarray(0, 9)],
    ['2x2 values of uint8 take 4 bytes, and it has 3', good.subarray(0, -1)],
    ['2x2 values of uint8 take 4 bytes, and it has 5', Buffer.concat([good, Buffer.of(1)])],
    ['it holds nothing (0x28)', idxFile(8, [0, 28], [])],
    ['and it has 4', idxFile(8, [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1], [1, 2, 3, 4])],
  ]
  for (const [why, bytes] of cases) {
    t.throws(() => parseIdx(bytes, '/data/file'), { code: 'data-invalid', message: `/data/file is not a usable IDX file: ` }, why)
    t.throws(() => parseIdx(bytes, '/data/file'), { message: why })
  }
  const dir = t.testdir()
  await writeFile(join(dir, 'torn.gz'), gzipSync(good).subarray(0, -12))
  await t.rejects(readIdx(join(dir, 'torn.gz')), { code: 'data-invalid', message: /torn\.gz cannot be unpacked .* download it again/ })
  await t.rejects(readIdx(join(dir, 'none')), { code: 'data-missing', message: `There is no data at ${dir}/none; check the path.` })
  await t.rejects(readIdx(dir), { code: 'data-missing' })
})

t.test('no bytes at all make the reader fail in another way than by its error', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (tail, likely) => {
      try {
        parseIdx(likely ? Buffer.concat([Buffer.of(0, 0, 8), tail]) : tail, 'f')
      } catch (error) {
        return (error as { code?: string }).code === 'data-invalid'
      }
      return true
    }),
  )
})
