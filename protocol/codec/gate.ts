// What passes the gate of a decoder: finite and at most the task's maxAbs in magnitude.
import type { DecodeFailure } from './index.ts'

/** The largest magnitude that passes; an infinite `maxAbs` must not let infinities in, and NaN lets nothing in. */
export const boundOf = (maxAbs: number): number => Math.min(maxAbs, Number.MAX_VALUE)

/**
 * Why `x`, which is not within the bound, is refused. A decoder asks `!(Math.abs(x) <= bound)`, not `> bound`, so that NaN,
 * which compares false with everything, is caught too.
 */
export const failureOf = (x: number): DecodeFailure => (Number.isFinite(x) ? 'out-of-bounds' : 'not-finite')
