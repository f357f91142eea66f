// A rule as receivers run it, in float32 and over the kernels, for those who try it on vectors that no peer was sent: attacks that search for
// what harms most do so dozens of times a round.
import { parseRule, type Rule } from '../../protocol/aggregation/index.ts'
import { createKernels, floatsSource, solo } from '../../protocol/aggregation/kernels/index.ts'
import type { Vector } from '../../protocol/aggregation/matrix.ts'

/** @throws task-invalid for a rule that has no kernels */
export function kernelRule(text: string): Pick<Rule, 'run'> {
  const rule = parseRule(text)
  const kernels = createKernels(solo())
  return {
    run({ vectors, ...options }) {
      const output = new Float32Array(vectors[0]!.length)
      // Attackers often all send one and the same.
      const narrow = new Map<Vector, Float32Array>()
      for (const vector of vectors) {
        if (!narrow.has(vector)) narrow.set(vector, vector instanceof Float32Array ? vector : Float32Array.from(vector))
      }
      const sources = vectors.map((vector) => floatsSource(narrow.get(vector)!))
      try {
        return { output, inputs: rule.apply(kernels.open(sources, output.length), options, output) }
      } finally {
        kernels.close()
      }
    },
  }
}
