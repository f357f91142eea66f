// Part of the gate: others' running variances are not below 0. A square root of one that is would be no number, and spread.
import { codecOf } from '../../protocol/codec/index.ts'
import type { Aggregator } from '../ports.ts'

/** @param ranges where the vectors hold variances: little of them, so that it is looked at here and now */
export function gateVariances(aggregator: Aggregator, ranges: readonly (readonly [number, number])[]): Aggregator {
  if (ranges.length === 0) return aggregator
  return {
    ...aggregator,
    async check(payload, request) {
      const code = await aggregator.check(payload, request)
      if (code !== undefined) return code
      // A task with such values has a codec that gives each the same number of bytes.
      const { encodedLength, decode } = codecOf(request.codec)
      const isNegative = ranges.some(([from, to]) => {
        const decoded = decode(payload.subarray(encodedLength(from), encodedLength(to)), to - from, request.maxAbs)
        return 'values' in decoded && decoded.values.some((value) => value < 0)
      })
      return isNegative ? 'out-of-bounds' : undefined
    },
  }
}
