// The aggregator with its real worker thread.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createAggregator } from '../../node/peer/aggregator.ts'
import type { AggregateRequest } from '../../node/ports.ts'
import { sha256 } from '../../node/sha256.ts'
import { openObjects } from '../../node/store/objects.ts'
import { parseRule } from '../../protocol/aggregation/index.ts'
import type { InputAudit } from '../../protocol/aggregation/types.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import { hexOf } from '../../protocol/task.ts'
import { temporaryFolder } from '../helpers/processes.ts'

const codec = codecOf('float32')
const aggregator = createAggregator()
t.teardown(() => aggregator.stop())

const LENGTH = 1500
/** A vector near `at`, the same each time. */
const vector = (seed: number, at = 0, length = LENGTH) => Float32Array.from({ length }, (_, c) => at + Math.sin(seed * 99 + c * 0.7))
const input = (author: string, values: Float32Array) => ({ author, payload: codec.encode(values) })

type Input = ReturnType<typeof input>
type Request = AggregateRequest & { own: Float32Array; inputs: readonly Input[] }

const round = (change: Partial<Request> = {}): Request => ({
  rule: 'nnm | trimmed-mean',
  f: 1,
  codec: 'float32',
  length: LENGTH,
  shared: LENGTH - 100,
  maxAbs: 1e6,
  own: vector(0),
  inputs: [1, 2, 3, 4].map((seed) => input(`peer-${seed}`, vector(seed))),
  ...change,
})

/** What the kernels, which compute in float32, may be off by for values of magnitude 2. */
const TOLERANCE = 2e-6
const isNear = (t: Test, found: ArrayLike<number>, expected: ArrayLike<number>, what = '') => {
  const worst = Array.from(expected).reduce((most, x, i) => Math.max(most, Math.abs(x - found[i]!)), 0)
  t.ok(found.length === expected.length && worst <= TOLERANCE, `${what} ${worst}`)
}

const isNearAudit = (t: Test, found: InputAudit | undefined, expected: InputAudit) => {
  t.match(found, { why: expected.why, kept: expected.kept })
  isNear(t, [found!.weight, found!.distance / 100], [expected.weight, expected.distance / 100])
}

t.test('gives what the rule gives in float64, with the own vector first', async (t) => {
  for (const rule of ['mean', 'trimmed-mean', 'median', 'nnm | trimmed-mean', 'cs+', 'geometric-median', 'clip(20) | krum', 'nna']) {
    const inputs = [1, 2, 3, 4, 5].map((seed) => input(`peer-${seed}`, vector(seed)))
    const outcome = await aggregator.aggregate(round({ rule, inputs }))
    const vectors = [0, 1, 2, 3, 4, 5].map((seed) => vector(seed))
    const expected = parseRule(rule).run({ vectors, own: 0, f: 1, shared: LENGTH - 100 })
    isNear(t, outcome.output, expected.output, rule)
    isNearAudit(t, outcome.own, expected.inputs[0]!)
    for (const [i, found] of outcome.inputs.entries()) {
      t.equal(found.author, `peer-${i + 1}`)
      isNearAudit(t, 'audit' in found ? found.audit : undefined, expected.inputs[i + 1]!)
    }
    t.ok(outcome.millis > 0)
    t.notOk('influence' in outcome, 'nothing is measured unasked')
  }
})

t.test("without an own vector only others' count, and need as many as the rule does", async (t) => {
  const { own, inputs, ...rest } = round({ rule: 'median' })
  const outcome = await aggregator.aggregate({ ...rest, inputs })
  isNear(t, outcome.output, parseRule('median').run({ vectors: [1, 2, 3, 4].map((seed) => vector(seed)), own: 0, f: 1 }).output)
  t.notOk('own' in outcome)
  t.match(
    outcome.inputs,
    inputs.map(({ author }) => ({ author, audit: { kept: Boolean } })),
  )
  await t.rejects(aggregator.aggregate({ ...rest, inputs: inputs.slice(0, 2) }), { code: 'too-few-inputs' })
})

t.test('what does not pass the gate is named in its place and has no part in the result', async (t) => {
  const bad = (at: number, x: number) => vector(at).with(7, x)
  const outcome = await aggregator.aggregate(
    round({
      inputs: [
        input('nan', bad(9, Number.NaN)),
        input('a', vector(1)),
        input('huge', bad(9, 3e38)),
        input('b', vector(2)),
        { author: 'short', payload: new Uint8Array(12) },
      ],
    }),
  )
  t.match(outcome.inputs, [
    { author: 'nan', rejected: 'not-finite' },
    { author: 'a', audit: { kept: Boolean } },
    { author: 'huge', rejected: 'out-of-bounds' },
    { author: 'b', audit: { kept: Boolean } },
    { author: 'short', rejected: 'wrong-length' },
  ])
  const expected = parseRule('nnm | trimmed-mean').run({ vectors: [0, 1, 2].map((s) => vector(s)), own: 0, f: 1, shared: LENGTH - 100 })
  isNear(t, outcome.output, expected.output)
})

t.test('the gate leaving too few is an error, never a weaker rule', async (t) => {
  const inputs = [input('a', vector(1)), input('nan', vector(2).fill(Number.NaN))]
  await t.rejects(aggregator.aggregate(round({ inputs })), { name: 'MurmurError', code: 'too-few-inputs', message: /at least 3 .* has 2/ })
})

t.test('checks one payload as it arrives', async (t) => {
  const rules = { codec: 'float32', length: 3, maxAbs: 10 }
  const check = (...values: number[]) => aggregator.check(codec.encode(Float32Array.from(values)), rules)
  t.same(await Promise.all([check(1, 2, -10), check(1, 2), check(1, Number.POSITIVE_INFINITY, 2), check(11, 0, 0)]), [
    undefined,
    'wrong-length',
    'not-finite',
    'out-of-bounds',
  ])
})

t.test("callers' arrays stay as they are, and may be views of larger or shared memory", async (t) => {
  const expected = await aggregator.aggregate(round())
  const request = round()
  const payload = request.inputs[0]!.payload
  const odd = new Uint8Array(payload.length + 5).subarray(3, 3 + payload.length)
  odd.set(payload)
  const shared = new Uint8Array(new SharedArrayBuffer(payload.length + 8), 4, payload.length)
  shared.set(request.inputs[1]!.payload)
  const own = new Float32Array(LENGTH + 9).subarray(2, 2 + LENGTH)
  own.set(request.own)
  const inputs = request.inputs.with(0, { author: 'peer-1', payload: odd }).with(1, { author: 'peer-2', payload: shared })
  const before = [odd, shared, own].map((array) => array.slice())
  const outcome = await aggregator.aggregate({ ...request, own, inputs })
  t.same(outcome.output, expected.output)
  t.same([odd, shared, own], before)
})

t.test('influence is how far the probed moved the result, in steps of the others', async (t) => {
  const start = vector(77)
  const attacker = vector(5, -400)
  const request = round({ rule: 'mean', shared: LENGTH, inputs: [input('evil', attacker), input('a', vector(1)), input('b', vector(2))] })
  const probe = { authors: ['evil', 'absent'], start }
  const { influence } = await aggregator.aggregate({ ...request, probe })
  const mean = (...vectors: Float32Array[]) =>
    Array.from({ length: LENGTH }, (_, c) => vectors.reduce((sum, v) => sum + v[c]!, 0) / vectors.length)
  const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.sqrt(Array.from(a).reduce((sum, x, c) => sum + (x - b[c]!) ** 2, 0))
  const honest = mean(vector(0), vector(1), vector(2))
  const expected = distance(mean(attacker, vector(0), vector(1), vector(2)), honest) / distance(honest, start)
  t.ok(Math.abs(influence! / expected - 1) < 1e-5, `${influence} is ${expected}`)

  const robust = await aggregator.aggregate({ ...request, rule: 'nnm | trimmed-mean', probe })
  t.ok(robust.influence! < influence! / 50, `a robust rule lets it move little: ${robust.influence}`)
  t.equal(
    (await aggregator.aggregate({ ...request, probe: { authors: ['absent'], start } })).influence,
    0,
    'who has no vector moves nothing',
  )
  const still = round({ rule: 'mean', own: start, inputs: [input('evil', attacker)], probe })
  t.notOk('influence' in (await aggregator.aggregate(still)), 'nothing to measure by where the others did not move')
})

t.test('without the probed, influence is measured with the largest f that the rest allows', async (t) => {
  const inputs = [input('evil', vector(5, -400)), input('a', vector(1))]
  const outcome = await aggregator.aggregate(round({ rule: 'median', inputs, probe: { authors: ['evil'], start: vector(77) } }))
  t.ok(outcome.influence! > 0 && Number.isFinite(outcome.influence))
})

t.test('a mistake in the request comes back as its own error', async (t) => {
  await t.rejects(aggregator.aggregate(round({ rule: 'average' })), { code: 'task-invalid', message: /known are: mean/ })
  await t.rejects(aggregator.aggregate(round({ codec: 'zstd' })), { code: 'task-unsupported' })
  await t.rejects(aggregator.aggregate(round({ own: vector(0).subarray(1) })), { code: 'bad-argument' })
  await t.rejects(aggregator.aggregate(round({ own: vector(0).with(3, Number.NaN) })), { code: 'training-diverged', message: /index 3/ })
})

t.test('payloads may be in files, of any codec, and come out as they do from memory', async (t) => {
  const dir = temporaryFolder(t)
  const objects = await openObjects(dir)
  for (const name of ['float32', 'float16', 'int8']) {
    const encoded = [1, 2, 3, 4].map((seed) => ({ author: `peer-${seed}`, payload: codecOf(name).encode(vector(seed)) }))
    const files = await Promise.all(
      encoded.map(async ({ author, payload }) => {
        const root = hexOf(payloadRoot(payload, sha256))
        await objects.putObject(root, payload)
        return { author, payload: { file: (await objects.fileOf!(root))! } }
      }),
    )
    const [fromMemory, fromFiles] = [
      await aggregator.aggregate({ ...round(), codec: name, inputs: encoded }),
      await aggregator.aggregate({ ...round(), codec: name, inputs: files }),
    ]
    t.same(fromFiles.output, fromMemory.output, name)
    t.same(fromFiles.inputs, fromMemory.inputs)
    const vectors = encoded.map(({ payload }) => {
      const decoded = codecOf(name).decode(payload, LENGTH, 1e6)
      return 'values' in decoded ? decoded.values : t.fail('decodes')
    }) as Float32Array[]
    const expected = parseRule('nnm | trimmed-mean').run({ vectors: [vector(0), ...vectors], own: 0, f: 1, shared: LENGTH - 100 })
    isNear(t, fromMemory.output, expected.output, name)
  }
  t.equal(await objects.fileOf!('0'.repeat(64)), undefined)
  const gone = { author: 'gone', payload: { file: join(dir, 'gone') } }
  await t.rejects(aggregator.aggregate({ ...round(), inputs: [gone] }), { code: 'disk-failed', message: /ENOENT/ })
  const file = join(dir, 'short')
  await writeFile(file, new Uint8Array(12))
  const short = { author: 'short', payload: { file } }
  t.match((await aggregator.aggregate({ ...round(), inputs: [...round().inputs, short] })).inputs.at(-1), { rejected: 'wrong-length' })
})

t.test('bad values are found wherever they are, and the first one says why', async (t) => {
  const length = 70_003
  const good = Float32Array.from({ length }, (_, i) => Math.sin(i))
  const check = (name: string, payload: Uint8Array) => aggregator.check(payload, { codec: name, length, maxAbs: 2 })
  for (const at of [0, 1, 4095, 4096, 65_535, 65_536, length - 1]) {
    for (const name of ['float32', 'float16', 'int8']) {
      const codec = codecOf(name)
      t.equal(await check(name, codec.encode(good.with(at, Number.NaN))), 'not-finite', `${name} ${at}`)
      t.equal(await check(name, codec.encode(good.with(at, 3))), 'out-of-bounds', `${name} ${at}`)
      t.equal(await check(name, codec.encode(good)), undefined)
    }
    const both = good.with(at, 3).with((at + 30_000) % length, Number.NEGATIVE_INFINITY)
    t.equal(await check('float32', codec.encode(both)), at + 30_000 < length ? 'out-of-bounds' : 'not-finite')
  }
  const bytes = codecOf('int8').encode(good)
  bytes[bytes.length - 1] = 0x80
  t.equal(await check('int8', bytes), 'out-of-bounds', 'a level of -128')
})

t.test('a large payload is handed over piece by piece, with turns of the event loop between', async (t) => {
  const length = 2_000_000
  const payload = codec.encode(new Float32Array(length))
  const checked = aggregator.check(payload, { codec: 'float32', length, maxAbs: 1 })
  // Seen by the worker only because this turn comes before the last piece is copied.
  await new Promise(setImmediate)
  payload.set(codec.encode(Float32Array.of(Number.NaN)), payload.length - 4)
  t.equal(await checked, 'not-finite')
})

t.test('stop lets the round in hand finish; after it there is an error, not silence', async (t) => {
  const other = createAggregator()
  const inHand = [other.aggregate(round()), other.aggregate(round({ rule: 'mean' }))]
  await Promise.all([other.stop(), other.stop()])
  t.match(await Promise.all(inHand), [{ millis: Number }, { millis: Number }])
  await t.rejects(other.aggregate(round()), { code: 'worker-failed' })
})
