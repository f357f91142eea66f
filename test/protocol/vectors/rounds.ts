// Checks of vectors of payloads, codecs and rounds; where there is another way to the same result, by that way too.
import { parseRule } from '../../../protocol/aggregation/index.ts'
import { codecOf } from '../../../protocol/codec/index.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { hashList, payloadRoot } from '../../../protocol/payload.ts'
import { gatherMillis } from '../../../protocol/round/deadline.ts'
import { initialState, reduce } from '../../../protocol/round/reducer.ts'
import type { RoundConfig } from '../../../protocol/round/state.ts'
import { byzantineBound, faultsAmong, sampleOrder } from '../../../protocol/sampling.ts'
import type { Update } from '../../../protocol/update.ts'
import { bytes, type Case, type Check, hex, sha256 } from './kit.ts'

const float32s = (bits: string): number[] => {
  const view = new DataView(bytes(bits).buffer)
  return Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(i * 4, true))
}
const numbers = (readable: (number | string)[]): number[] => readable.map(Number)

const codec =
  (name: string): Check =>
  (t, one) => {
    const { encode, decode, encodedLength } = codecOf(name)
    const encoded = bytes(one.bytes)
    if (one.refused !== undefined) {
      t.same(decode(encoded, one.count, one.maxAbs), { rejected: one.refused })
      return
    }
    const values = Float32Array.from(numbers(one.values))
    t.equal(hex(encode(values)), one.bytes)
    t.equal(encoded.length, encodedLength(values.length))
    const decoded = decode(encoded, values.length, one.maxAbs)
    t.ok('values' in decoded)
    if ('values' in decoded) t.equal(hex(new Uint8Array(Float32Array.from(decoded.values).buffer)), one.decodedBits)
    t.same(float32s(one.decodedBits), numbers(one.decoded), 'both ways of writing the result agree')
    const expected = INDEPENDENT[name]?.(encoded, values.length)
    t.same(expected, float32s(one.decodedBits), 'decoded by hand')
  }

/** Decoders written from the text of SPEC.md with the platform's own floats. */
const INDEPENDENT: Record<string, (encoded: Uint8Array, count: number) => number[]> = {
  float32: (encoded) => float32s(hex(encoded)),
  float16(encoded, count) {
    const view = new DataView(encoded.buffer)
    return Array.from({ length: count }, (_, i) => view.getFloat16(2 * i, true))
  },
  int8(encoded, count) {
    const view = new DataView(encoded.buffer)
    return Array.from({ length: count }, (_, i) => {
      const block = Math.floor(i / 256)
      return view.getInt8(258 * block + 2 + (i % 256)) * view.getFloat16(258 * block, true)
    })
  },
}

/** Updates of the round machine's vectors: what the machine compares is made of author, round and variant. */
function wholeUpdate({ author, round, final = false, variant = 0 }: Case): Update {
  const signed = new TextEncoder().encode(JSON.stringify({ author, round, ...(final && { final }), ...(variant > 0 && { variant }) }))
  return { author, round, final, payload: { hash: signed, length: 0, codec: 'float32' }, envelope: signed, signed }
}

/** An effect with its updates as the vectors write them. */
const inShort = (effect: object): object =>
  JSON.parse(
    JSON.stringify({ ...effect, reason: undefined }, (_, value) =>
      value?.signed === undefined ? value : JSON.parse(new TextDecoder().decode(value.signed)),
    ),
  )

/** Text that does not depend on the order of keys. */
const sorted = (value: object): string =>
  JSON.stringify(value, (_, part) =>
    typeof part === 'object' && part !== null && !Array.isArray(part) ? Object.fromEntries(Object.entries(part).sort()) : part,
  )

/** (members - b) rounds P[more than f of `sampled`] <= 1/100, from binomial coefficients. */
function isRareAbove(f: number, { members, b, sampled, rounds }: { members: number; b: number; sampled: number; rounds: number }): boolean {
  const choose = (n: bigint, k: bigint): bigint => {
    if (k < 0n || k > n) return 0n
    let product = 1n
    for (let i = 1n; i <= k; i++) product = (product * (n - k + i)) / i
    return product
  }
  const [others, marked, drawn] = [BigInt(members - 1), BigInt(b), BigInt(sampled)]
  let above = 0n
  for (let k = BigInt(f) + 1n; k <= drawn; k++) above += choose(marked, k) * choose(others - marked, drawn - k)
  return 100n * BigInt(members - b) * BigInt(rounds) * above <= choose(others, drawn)
}

export const ROUND_CHECKS: Record<string, Check> = {
  payload(t, { length, chunks, hashList: list, root }) {
    const payload = Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) % 251)
    t.equal(hex(hashList(payload, sha256)), list)
    t.equal(hex(payloadRoot(payload, sha256)), root)
    t.equal(list.length, chunks * 64)
    const hashes = Array.from({ length: chunks }, (_, i) => sha256(payload.subarray(i * 262_144, (i + 1) * 262_144)))
    t.equal(hex(Buffer.concat(hashes)), list)
    t.equal(hex(sha256(Buffer.concat(hashes))), root)
  },
  'codec-float32': codec('float32'),
  'codec-float16': codec('float16'),
  'codec-int8': codec('int8'),
  round(t, { settings, steps }) {
    const { rounds, byzantineShare, rule, ...rest } = settings
    const byzantine = (members: number) => byzantineBound(members, byzantineShare)
    const { fullView, fullViewMost, syncLag, futureRounds, members: maxMembers } = LIMITS
    const config: RoundConfig = {
      ...{ ...rest, byzantine, fullView, fullViewMost, syncLag, futureRounds, maxMembers, stop: { rounds } },
      faults: (members, sampled) => faultsAmong(members, byzantine(members), sampled, rounds),
      minInputs: parseRule(rule).minInputs,
      sampleOrder: (members) => members.toSorted(),
    }
    let state = initialState()
    for (const [i, { event, effects, rejected, phase, round, f }] of steps.entries()) {
      const step = reduce(state, event.update === undefined ? event : { ...event, update: wholeUpdate(event.update) }, config)
      state = step.state
      const seen = { phase: state.phase, round: state.round, f: state.f, rejected: step.rejected }
      t.same(seen, { phase, round, f, rejected }, `step ${i}: ${event.type}`)
      t.same(step.effects.map(inShort).map(sorted).sort(), effects.map(sorted).sort(), `effects of step ${i}: ${event.type}`)
    }
  },
  sampling(t, { members, secret, round, order }) {
    t.same(sampleOrder(members, round, bytes(secret), sha256), order)
    const prefix = Buffer.alloc(8)
    prefix.writeBigUInt64BE(BigInt(round))
    const key = (id: string) => hex(sha256(Buffer.concat([bytes(secret), prefix, Buffer.from(id)])))
    t.same(
      members.toSorted((a: string, b: string) => (key(a) < key(b) ? -1 : 1)),
      order,
    )
  },
  faults(t, { members, share, sampled, rounds, b, f }) {
    t.equal(byzantineBound(members, share), b)
    t.equal(faultsAmong(members, b, sampled, rounds), f)
    if (b === 0 || sampled >= members - 1) {
      t.equal(f, b)
      return
    }
    t.ok(isRareAbove(f, { members, b, sampled, rounds }), 'more than f attackers are drawn with probability below 1 %, in whole numbers')
    if (f > 0) t.notOk(isRareAbove(f - 1, { members, b, sampled, rounds }), 'and f is the smallest such number')
  },
  deadline(t, { arrivals, min, max, millis }) {
    t.equal(gatherMillis(arrivals, min, max), millis)
  },
  aggregation(t, { rule, f, shared, vectors, minInputs, output, weights }) {
    const parsed = parseRule(rule)
    t.equal(parsed.minInputs(f), minInputs)
    const result = parsed.run({ vectors: vectors.map((row: number[]) => Float64Array.from(row)), own: 0, f, shared })
    const near = (a: ArrayLike<number>, b: number[]) => b.every((x, i) => Math.abs(x - a[i]!) <= 1e-12 * Math.max(1, Math.abs(x)))
    t.ok(near(result.output, output))
    t.ok(
      near(
        result.inputs.map(({ weight }) => weight),
        weights,
      ),
    )
    // What is clipped to the origin leaves less than the whole.
    const total = weights.reduce((sum: number, weight: number) => sum + weight, 0)
    t.ok(rule.includes('clip(') ? total < 1 : near([total], [1]))
    if (rule === 'mean')
      t.ok(
        near(
          output,
          vectors[0].map((_: number, c: number) => vectors.reduce((sum: number, row: number[]) => sum + row[c]!, 0) / vectors.length),
        ),
      )
  },
}
