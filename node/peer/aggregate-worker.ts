// The worker thread behind the aggregator: decodes, gates and aggregates one round's payloads.
import { parseRule } from '../../protocol/aggregation/index.ts'
import type { AggregateResult, Rule } from '../../protocol/aggregation/types.ts'
import { codecOf, type DecodeFailure } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { AggregateOutcome, AggregateRequest } from '../ports.ts'
import { serveWorker, transferring } from '../worker-rpc.ts'

const handlers = {
  check({
    payload,
    codec,
    length,
    maxAbs,
  }: {
    payload: Uint8Array
    codec: string
    length: number
    maxAbs: number
  }): DecodeFailure | undefined {
    const decoded = codecOf(codec).decode(payload, length, maxAbs)
    return 'rejected' in decoded ? decoded.rejected : undefined
  },

  aggregate(request: AggregateRequest): AggregateOutcome {
    const began = performance.now()
    const { f, length, shared, maxAbs, own, probe } = request
    if (own !== undefined) checkOwn(own, length)
    const rule = parseRule(request.rule)
    const codec = codecOf(request.codec)
    const decoded = request.inputs.map(({ author, payload }) => ({ author, ...codec.decode(payload, length, maxAbs) }))
    const passed = decoded.filter((input) => 'values' in input)
    const vectors = [...(own ? [own] : []), ...passed.map(({ values }) => values)]
    const result = rule.run({ vectors, own: 0, f, shared })
    const audits = result.inputs.slice(own ? 1 : 0)
    const honest = passed.map(({ author }) => !probe?.authors.includes(author))
    const influence =
      probe &&
      influenceOf({ rule, f, shared, vectors, trusted: [...(own ? [true] : []), ...honest], start: probe.start, output: result.output })
    const output = float32(result.output)
    const outcome: AggregateOutcome = {
      output,
      ...(own && { own: result.inputs[0]! }),
      inputs: decoded.map((input) =>
        'rejected' in input ? { author: input.author, rejected: input.rejected } : { author: input.author, audit: audits.shift()! },
      ),
      ...(influence !== undefined && { influence }),
      millis: performance.now() - began,
    }
    return transferring(outcome, [output.buffer as ArrayBuffer])
  },
}

export type AggregateHandlers = typeof handlers

serveWorker(handlers)

/** The rule works on float32 inputs and answers in kind. */
function float32(values: AggregateResult['output']): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values)
}

/** Others' vectors pass the gate; the own one never left this machine, but a NaN in it would poison the round all the same. */
function checkOwn(own: Float32Array, length: number): void {
  if (own.length !== length) {
    throw new MurmurError('bad-argument', `The own vector has ${own.length} values; the task exchanges ${length}.`)
  }
  const at = own.findIndex((x) => !Number.isFinite(x))
  if (at >= 0) {
    throw new MurmurError('training-diverged', `The own model holds ${own[at]} at index ${at}; lower the learning rate or set clipNorm.`)
  }
}

interface Probe {
  rule: Rule
  f: number
  shared: number
  vectors: readonly Float32Array[]
  /** Which vectors are not probed. */
  trusted: readonly boolean[]
  /** The model the round began with. */
  start: Float32Array
  output: AggregateResult['output']
}

/**
 * How far the probed vectors moved the output, in units of the others' own step: |output - output without them| / |mean of the others - start|
 * over the shared part. Without them the same rule runs with the same f, or the largest that so few inputs allow.
 */
function influenceOf({ rule, f, shared, vectors, trusted, start, output }: Probe): number | undefined {
  const others = vectors.filter((_, i) => trusted[i])
  const step = distance(parseRule('mean').run({ vectors: others, own: 0, f: 0, shared }).output, start, shared)
  let bearable = f
  while (bearable > 0 && rule.minInputs(bearable) > others.length) bearable--
  if (step === 0 || rule.minInputs(bearable) > others.length) return undefined
  if (others.length === vectors.length) return 0
  return distance(output, rule.run({ vectors: others, own: 0, f: bearable, shared }).output, shared) / step
}

function distance(a: AggregateResult['output'], b: AggregateResult['output'], length: number): number {
  let sum = 0
  for (let i = 0; i < length; i++) sum += (a[i]! - b[i]!) ** 2
  return Math.sqrt(sum)
}
