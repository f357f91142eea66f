// The lab's run: many virtual peers, some of them attackers, with the product's own protocol, round loop, training and rules, in one process
// and in virtual time. The same options give the same results, to the bit, however busy the machine is.
import { promisesOf } from './promises.ts'
import { runPeers } from './run-peers.ts'
import { makeSubject } from './subject.ts'
import { buildGraph, parseTopology } from './topology.ts'
import type { LabHooks, LabOptions, LabResult } from './types.ts'
import { openWorkshop } from './workshop.ts'

export { labDefaults, parseLabOptions } from './options.ts'
export { labOptions } from './schema.ts'
export type { LabHooks, LabOptions, LabResult, RoundRecord } from './types.ts'

/** Different warnings that are told. */
const MOST_WARNINGS = 10

/** @throws MurmurError with one sentence: what is wrong with the options, or why the run could not go on; cancelled */
export async function runLab(options: LabOptions, hooks: LabHooks = {}): Promise<LabResult> {
  const began = performance.now()
  const { peers, byzantine, attack, seed } = options
  const honest = attack === undefined ? peers : peers - byzantine
  const tell = (text: string) => hooks.onProgress?.(text)
  const warnings = new Set<string>()
  const warn = (text: string) => {
    if (warnings.has(text) || warnings.size >= MOST_WARNINGS) return
    warnings.add(text)
    hooks.onWarning?.(text)
  }
  const graph = await buildGraph(parseTopology(options.topology), peers, seed)
  for (const text of promisesOf(options, graph)) warn(text)
  const subject = await makeSubject(options, honest, tell)
  const { least, most, test } = subject.samples
  const samples = least === most ? least : `${least} to ${most}`
  tell(`${honest} honest peers with ${samples} samples each, ${test} to test with. Compiling the model ...`)
  const workshop = await openWorkshop(subject, hooks.workers)
  try {
    const { rounds, final } = await runPeers(options, { graph, honest, subject, workshop, hooks, warn, tell })
    return {
      version: 1,
      options,
      rounds,
      final: { ...final, seconds: (performance.now() - began) / 1000, peakBytes: process.resourceUsage().maxRSS * 1024 },
      warnings: [...warnings],
    }
  } finally {
    await workshop.stop()
  }
}
