// What is random in a real peer and seeded in a virtual one: keys, and bytes.
import { createPrng } from '../../../protocol/prng.ts'
import type { Random, Signer } from '../../ports.ts'
import { sha256 } from '../../sha256.ts'
import { signerOfSeed } from '../../store/identity.ts'

export const seededSigner = (seed: string): Signer => signerOfSeed(sha256(new TextEncoder().encode(seed)))

export function seededRandom(seed: string): Random {
  const prng = createPrng(seed)
  return { bytes: (count) => Uint8Array.from({ length: count }, () => prng.int(256)) }
}
