// The thread behind the reference aggregator.
import { parseLabRule } from '../../../protocol/aggregation/index.ts'
import { codecOf, type DecodeFailure } from '../../../protocol/codec/index.ts'
import { MurmurError } from '../../../protocol/errors.ts'
import type { AggregateOutcome, AggregateRequest } from '../../ports.ts'
import { serveWorker, transferring } from '../../worker-rpc.ts'

/** `losses` are those of the own vector and of the inputs that pass the gate. */
export type ReferenceRequest = AggregateRequest & { losses?: readonly number[] }

type Gate = Pick<AggregateRequest, 'codec' | 'length' | 'maxAbs'>

const decode = (payload: Uint8Array, { codec, length, maxAbs }: Gate) => codecOf(codec).decode(payload, length, maxAbs)

const handlers = {
  check({ payload, ...gate }: { payload: Uint8Array } & Gate): DecodeFailure | undefined {
    const decoded = decode(payload, gate)
    return 'rejected' in decoded ? decoded.rejected : undefined
  },

  aggregate(request: ReferenceRequest): AggregateOutcome {
    const began = performance.now()
    const { f, shared, own, seed, losses } = request
    const decoded = request.inputs.map(({ author, payload }) => {
      if (payload instanceof Uint8Array) return { author, ...decode(payload, request) }
      throw new MurmurError('internal', 'The lab keeps payloads in memory, and one lies in a file.')
    })
    const passed = decoded.flatMap((one) => ('values' in one ? [one.values] : []))
    const vectors = [...(own ? [own] : []), ...passed].map((values) => Float64Array.from(values))
    const options = { own: 0, f, shared, ...(seed !== undefined && { seed }), ...(losses && { losses }) }
    const result = parseLabRule(request.rule).run({ vectors, ...options })
    const audits = result.inputs[Symbol.iterator]()
    const next = () => audits.next().value!
    const output = Float32Array.from(result.output)
    const outcome: AggregateOutcome = {
      output,
      ...(own && { own: next() }),
      inputs: decoded.map(({ author, ...one }) => ('rejected' in one ? { author, rejected: one.rejected } : { author, audit: next() })),
      millis: performance.now() - began,
    }
    return transferring(outcome, [output.buffer])
  },
}

export type ReferenceHandlers = typeof handlers

serveWorker(handlers)
