// A vector as it is announced: the payload, its root, and what others make of it.
import { codecOf } from '../../protocol/codec/index.ts'
import { payloadRoot } from '../../protocol/payload.ts'
import type { Encoded } from '../ports.ts'
import { sha256 } from '../sha256.ts'

export interface PayloadRules {
  codec: string
  maxAbs: number
}

/** @param values only what is exchanged of a vector */
export function encodePayload(values: Float32Array, { codec, maxAbs }: PayloadRules): Encoded {
  const { encode, decode } = codecOf(codec)
  const payload = encode(values)
  return { payload, root: payloadRoot(payload, sha256), decoded: decode(payload, values.length, maxAbs) }
}
