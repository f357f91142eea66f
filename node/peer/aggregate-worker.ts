// The worker thread behind the aggregator: decodes, gates and aggregates one round's payloads, with helpers where there is much of it.
import { randomUUID } from 'node:crypto'
import { parseRule } from '../../protocol/aggregation/index.ts'
import { createKernels, type KernelMatrix } from '../../protocol/aggregation/kernels/index.ts'
import type { AggregateOptions, Rule } from '../../protocol/aggregation/types.ts'
import type { DecodeFailure } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import type { AggregateOutcome, AggregateRequest } from '../ports.ts'
import { serveWorker, transferring } from '../worker-rpc.ts'
import { openSources, type Place, type Source } from './aggregate-source.ts'
import { createTeam } from './aggregate-team.ts'

/** As the port's, with payloads where threads find them. */
export type WorkerRequest = Omit<AggregateRequest, 'inputs' | 'codec' | 'maxAbs'> & { inputs: { author: string; payload: Place }[] }

const team = createTeam()
const kernels = createKernels(team)

const handlers = {
  check({ payload, length }: { payload: Place; length: number }): DecodeFailure | undefined {
    return withSources([payload], (sources) => kernels.open(sources, length).gate()[0])
  },

  aggregate(request: WorkerRequest): AggregateOutcome {
    const began = performance.now()
    const { f, length, shared, own, probe, inputs } = request
    const rule = parseRule(request.rule)
    if (own !== undefined && own.length !== length) {
      throw new MurmurError('bad-argument', `The own vector has ${own.length} values; the task exchanges ${length}.`)
    }
    const payloads = [...(own ? [placeOf(own)] : []), ...inputs.map(({ payload }) => payload)]
    return withSources(payloads, (sources) => {
      const others = sources.slice(own ? 1 : 0)
      const { matrix, passed, refused } = gate(sources, length)
      if (own !== undefined && refused.has(sources[0]!)) throw divergence(own)
      const output = new Float32Array(length)
      const options = { own: 0, f, shared, seed: request.seed ?? randomUUID() }
      const audits = rule.apply(matrix, options, output)
      const auditOf = new Map(passed.map((source, i) => [source, audits[i]!]))
      const trusted = passed.filter((source) => !probe?.authors.includes(inputs[others.indexOf(source)]?.author ?? ''))
      const influence = probe && influenceOf({ rule, options, length, passed, trusted, start: probe.start, output })
      const outcome: AggregateOutcome = {
        output,
        ...(own && { own: auditOf.get(sources[0]!)! }),
        inputs: inputs.map(({ author }, i) => {
          const rejected = refused.get(others[i]!)
          return rejected === undefined ? { author, audit: auditOf.get(others[i]!)! } : { author, rejected }
        }),
        ...(influence !== undefined && { influence }),
        millis: performance.now() - began,
      }
      return transferring(outcome, [output.buffer])
    })
  },
}

export type AggregateHandlers = typeof handlers

serveWorker(handlers, () => team.stop())

function withSources<T>(places: readonly Place[], use: (sources: Source[]) => T): T {
  const sources = openSources(places)
  try {
    return use(sources)
  } finally {
    kernels.close()
    for (const source of sources) source.close()
  }
}

/** A matrix of those that pass the gate. */
function gate(sources: readonly Source[], length: number): { matrix: KernelMatrix; passed: Source[]; refused: Map<Source, DecodeFailure> } {
  const refused = new Map<Source, DecodeFailure>()
  for (;;) {
    const passed = sources.filter((source) => !refused.has(source))
    const matrix = kernels.open(passed, length)
    const failures = matrix.gate()
    if (failures.every((failure) => failure === undefined)) return { matrix, passed, refused }
    for (const [i, failure] of failures.entries()) if (failure !== undefined) refused.set(passed[i]!, failure)
  }
}

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

/** The own vector never left this machine and need only be finite. */
function placeOf(own: Float32Array): Place {
  return { codec: 'float32', maxAbs: Number.MAX_VALUE, at: new Uint8Array(own.buffer, own.byteOffset, own.length * FLOAT_BYTES) }
}

function divergence(own: Float32Array): MurmurError {
  const at = own.findIndex((x) => !Number.isFinite(x))
  return new MurmurError('training-diverged', `The own model holds ${own[at]} at index ${at}; lower the learning rate or set clipNorm.`)
}

interface Probe {
  rule: Rule
  options: AggregateOptions & { shared: number }
  length: number
  passed: readonly Source[]
  /** Those of them that are not probed. */
  trusted: readonly Source[]
  /** The model the round began with. */
  start: Float32Array
  output: Float32Array
}

/**
 * How far the probed vectors moved the output, in units of the others' own step: |output - output without them| / |mean of the others - start|
 * over the shared part. Without them the same rule runs with the same f, or the largest that so few inputs allow.
 */
function influenceOf({ rule, options, length, passed, trusted, start, output }: Probe): number | undefined {
  let f = options.f
  while (f > 0 && rule.minInputs(f) > trusted.length) f--
  if (rule.minInputs(f) > trusted.length) return undefined
  const others = kernels.open(trusted, length)
  const result = new Float32Array(length)
  others.combine(new Float64Array(trusted.length).fill(1 / trusted.length), result)
  const step = distance(result, start, options.shared)
  if (step === 0) return undefined
  if (trusted.length === passed.length) return 0
  rule.apply(others, { ...options, f }, result)
  return distance(output, result, options.shared) / step
}

function distance(a: Float32Array, b: Float32Array, length: number): number {
  let sum = 0
  for (let i = 0; i < length; i++) sum += (a[i]! - b[i]!) ** 2
  return Math.sqrt(sum)
}
