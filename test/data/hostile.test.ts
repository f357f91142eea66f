// Files that were made to harm: each is refused with one sentence that a terminal can show, before it takes time or memory.
import { execFileSync } from 'node:child_process'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { zipSync } from 'fflate'
import t, { type Test } from 'tap'
import { parseIdx } from '../../node/data/idx.ts'
import { parseNpy } from '../../node/data/npy.ts'
import type { ModelHints } from '../../node/data/spec.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { f4, i8, npzFile, safetensorsFile } from './npy-file.ts'
import { model, parquet, use } from './table-file.ts'

const tokens: ModelHints = { input: 'int64', inputShape: [null], target: 'tokens', classes: 100 }

async function refused(t: Test, path: string, message: RegExp, hints: ModelHints = model): Promise<void> {
  try {
    await use(path, hints)
    t.fail(`${path} was read`)
  } catch (error) {
    t.ok(isMurmurError(error) && error.code !== 'internal', String(error))
    t.match((error as Error).message, message)
    t.notMatch((error as Error).message, /\p{C}/u)
  }
}

const npyHeader = (shape: string): Buffer => {
  const header = Buffer.from(`{'descr': '<f4', 'fortran_order': False, 'shape': (${shape}), }`)
  const length = Buffer.alloc(2)
  length.writeUInt16LE(header.length)
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\0', 'latin1'), length, header])
}

const safetensors = (header: string): Buffer => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)])
}

const nested = (depth: number, open: string, close: string) => `{"a":${open.repeat(depth)}1${close.repeat(depth)},"label":1}\n`
const labels = i8([2], [0, 1])

const files: Record<string, [bytes: () => string | Uint8Array, message: RegExp]> = {
  'bomb.npz': [() => zipSync({ 'x.npy': new Uint8Array(2 ** 26), 'y.npy': new Uint8Array(labels) }), /does not begin as one/],
  'huge.npz': [() => npzFile({ x: npyHeader('9007199254740991, 9007199254740991'), y: labels }), /it has 0/],
  'nothing.npz': [() => npzFile({ x: npyHeader('9007199254740991, 0'), y: labels }), /holds nothing/],
  'blanks.npz': [() => npzFile({ x: npyHeader(' '.repeat(9000)), y: labels }), /and it has 0/],
  'names.npz': [() => zipSync({ '../\u001b[2Jx.npy': new Uint8Array(labels), '__proto__.npy': new Uint8Array(labels) }), /no array "x"/],
  'classes.npz': [() => npzFile({ x: f4([2, 1], [1, 2]), y: i8([2], [0, 2 ** 31 - 2]) }), /target.size/],
  'header.safetensors': [() => Buffer.alloc(16, 255), /does not fit/],
  'deep.safetensors': [() => safetensors('['.repeat(100_000)), /not JSON/],
  'names.safetensors': [
    () => safetensors('{"x":{"dtype":"constructor","shape":[1],"data_offsets":[0,4]},"y":null,"__proto__":{}}'),
    /type "constructor"/,
  ],
  'before.safetensors': [() => safetensors('{"x":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]},"y":{}}'), /bad offsets/],
  'quotes.csv': [() => `a,label\n"${'x'.repeat(1e6)},1\n2,0\n`, /cannot be read as a table/],
  'line.csv': [() => `a,label\n${'9'.repeat(4e6)},1\n2,0\n`, /cannot be read as a table/],
  'columns.csv': [() => `${Array.from({ length: 200_000 }, (_, i) => `column${i}`).join()},label\n1,1\n`, /a first line of more than/],
  'bomb.csv.gz': [() => gzipSync(Buffer.alloc(2 ** 26, 'a')), /a first line of more than/],
  'escapes.csv': [() => 'a\u001b[2J,label\n1,1\n', /control characters/],
  'nul.csv': [() => 'a\0b,label\n1,1\n', /control characters/],
  'bytes.csv': [() => Buffer.from('a,label\n1,\xff\xfe\n', 'latin1'), /utf-8/],
  'lists.jsonl': [() => nested(200_000, '[', ']'), /nests more than 100 lists and objects in row 1/],
  'objects.jsonl': [() => `{"a":"[[","label":0}\n${nested(100_000, '{"a":', '}')}`, /in row 2/],
  'packed.jsonl.gz': [() => gzipSync(nested(200_000, '[', ']')), /nests more than 100/],
}

for (const [name, [bytes, message]] of Object.entries(files)) {
  t.test(`${name} is refused`, async (t) => {
    const path = join(t.testdir({}), name)
    await writeFile(path, bytes())
    await refused(t, path, message)
  })
}

t.test('text that is none is refused', async (t) => {
  const path = join(t.testdir({}), 'text.txt')
  for (const bytes of [
    [0x61, 0xff],
    [0x61, 0xed, 0xa0, 0x80],
  ]) {
    await writeFile(path, Buffer.from(bytes))
    await refused(t, path, /not text in UTF-8/, tokens)
  }
})

t.test('names and paths are names to a database, whatever they say', async (t) => {
  const path = join(t.testdir({}), "a'; DROP TABLE source; --.csv")
  await writeFile(path, `"x""; DROP TABLE source; --","' || (SELECT 1) || '",label\n1,2,0\n3,4,1\n`)
  const { schema, train } = await use(path, model)
  t.strictSame(
    schema.columns?.map(({ name }) => name),
    ['x"; DROP TABLE source; --', "' || (SELECT 1) || '", 'label'],
  )
  t.equal(train.samples, 2)
})

t.test('devices, pipes and links in a circle are refused at once', { skip: process.platform === 'win32' }, async (t) => {
  const directory = t.testdir({ idx: {}, npy: { 'x.npy': Buffer.from(f4([1, 1], [1])) } })
  for (const name of ['data.csv', 'data.npz', 'data.txt', 'data.safetensors', 'data.jsonl']) {
    const path = join(directory, name)
    await symlink('/dev/zero', path)
    await refused(t, path, /a device or a pipe/, name.endsWith('.txt') ? tokens : model)
  }
  const pipe = join(directory, 'pipe.npz')
  execFileSync('mkfifo', [pipe])
  await refused(t, pipe, /a device or a pipe/)
  await symlink('/dev/zero', join(directory, 'npy', 'y.npy'))
  await refused(t, join(directory, 'npy'), /a device or a pipe/)
  await symlink(join(directory, 'circle.csv'), join(directory, 'circle.csv'))
  await refused(t, join(directory, 'circle.csv'), /ELOOP/)
})

t.test('what names sizes of files never allocates them', async (t) => {
  const directory = join(t.testdir({}), 'idx')
  await mkdir(directory)
  await writeFile(join(directory, 'train-images-idx3-ubyte'), Buffer.from(`00000803${'ffffffff'.repeat(3)}`, 'hex'))
  await writeFile(join(directory, 'train-labels-idx1-ubyte'), Buffer.from('000008010000000101', 'hex'))
  await refused(t, directory, /and it has 0/)
})

t.test('damaged files are read or refused with a sentence', async (t) => {
  const directory = t.testdir({})
  const table = join(directory, 'table.parquet')
  await parquet(table, 'SELECT i::DOUBLE AS a, i % 2 AS label FROM range(200) t(i)')
  const pairs: [string, Uint8Array][] = [
    ['damaged.parquet', await readFile(table)],
    ['damaged.npz', npzFile({ x: f4([2, 2], [1, 2, 3, 4]), y: labels })],
    ['damaged.safetensors', safetensorsFile({ x: ['F32', [2, 1], Float32Array.of(1, 2)], y: ['I64', [2], BigInt64Array.of(0n, 1n)] })],
  ]
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 })
  const isFine = (error: unknown) => {
    if (!isMurmurError(error) || error.code === 'internal') throw error
    return true
  }
  const change = (bytes: Uint8Array, places: [number, number][], isCut: boolean) => {
    const changed = new Uint8Array(isCut ? bytes.subarray(0, places[0]![0] % bytes.length) : bytes)
    for (const [at, value] of places) if (changed.length > 0) changed[at % changed.length] = value
    return changed
  }
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...pairs), damage, fc.boolean(), async ([name, bytes], places, isCut) => {
      const path = join(directory, name)
      await writeFile(path, change(bytes, places, isCut))
      await use(path, model).catch(isFine)
    }),
    { numRuns: 150 },
  )
  const arrays: [Uint8Array, (bytes: Uint8Array, from: string) => unknown][] = [
    [f4([2, 3], [1, 2, 3, 4, 5, 6]), parseNpy],
    [Buffer.from('0000080200000002000000020102030405', 'hex'), parseIdx],
  ]
  fc.assert(
    fc.property(fc.constantFrom(...arrays), damage, fc.boolean(), ([bytes, parse], places, isCut) => {
      try {
        parse(change(bytes, places, isCut), 'it')
      } catch (error) {
        isFine(error)
      }
    }),
    { numRuns: 1000 },
  )
  t.pass()
})
