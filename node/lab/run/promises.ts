// What a run's network can promise, said before it begins: a rule that could never run is refused, one that may fail is warned of.
import { parseLabRule } from '../../../protocol/aggregation/index.ts'
import { MurmurError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { byzantineBound, faultsAmong } from '../../../protocol/sampling.ts'
import { type Graph, isConnected } from './topology.ts'
import type { LabOptions } from './types.ts'

/** Peers named in a sentence. */
const NAMED = 5

/** What one peer's rule is told, and may get. */
interface View {
  peer: number
  /** Peers that it knows, and those that it pulls from. */
  neighbours: number
  sampled: number
  /** Attackers to withstand in the sample, and where it pulls from all. */
  f: number
  most: number
  /** Attackers among those that it knows. */
  attackers: number
}

/** A share of 1, in basis points; and the largest that a task may say. */
const WHOLE = 10_000
const MOST_SHARE = 4900

/** The share of malicious members that the task says, in basis points: the least of which so many of so many follow. */
export const shareOf = ({ peers, byzantine }: LabOptions): number => Math.min(MOST_SHARE, Math.ceil((WHOLE * byzantine) / peers))

/** @returns warnings, a sentence each. @throws too-few-inputs where a peer's rule could never run */
export function promisesOf(options: LabOptions, graph: Graph): string[] {
  const { peers, byzantine, attack, rounds } = options
  const rule = parseLabRule(options.rule)
  const honest = attack === undefined ? peers : peers - byzantine
  const views = graph.slice(0, honest).map((neighbours, peer): View => {
    const all = neighbours.length
    const sampled = all > (options.fanout ?? LIMITS.fullViewMost) ? (options.fanout ?? LIMITS.fullView) : all
    const b = byzantineBound(all + 1, shareOf(options))
    const f = options.f ?? faultsAmong(all + 1, b, sampled, rounds)
    return { peer, neighbours: all, sampled, f, most: options.f ?? b, attackers: neighbours.filter((other) => other >= honest).length }
  })
  for (const { peer, neighbours, sampled, f, most } of views) {
    const needed = rule.minInputs(f)
    if (sampled + 1 >= needed || neighbours + 1 >= rule.minInputs(most)) continue
    const who = options.topology === 'full' ? 'each peer has' : `peer ${peer} has`
    throw new MurmurError(
      'too-few-inputs',
      `The rule "${rule.text}" needs at least ${needed} models to withstand ${f}, and ${who} ${neighbours + 1} with its own: give more peers or neighbours, a smaller --byzantine, or another --f.`,
    )
  }
  return warningsOf(options, graph, honest, views)
}

function warningsOf(
  { peers, byzantine, attack, rule, fanout }: LabOptions,
  graph: Graph,
  honest: number,
  views: readonly View[],
): string[] {
  const warnings: string[] = []
  const attacked = attack !== undefined
  if (peers <= 2 * byzantine && byzantine > 0) {
    warnings.push(`${byzantine} of ${peers} peers attack, which is not less than half: no rule can tell who is honest.`)
  } else if (peers <= 3 * byzantine) {
    warnings.push(`${peers} peers are not more than 3 x ${byzantine}: attackers that stay silent could hold up the rounds.`)
  }
  const median = views.find(({ sampled, f }) => f > 0 && sampled + 1 === 2 * f + 1)
  if (median !== undefined && /trimmed-mean$/.test(rule)) {
    warnings.push(`Of ${median.sampled + 1} models the trimmed mean leaves out ${2 * median.f}: what is left is the median.`)
  }
  const naive = attacked && views.some(({ attackers, f }) => attackers > 0 && f === 0)
  if (naive) warnings.push('There are attackers, and the rule is told of none.')
  const outnumbered = naive || fanout !== undefined ? [] : views.filter(({ attackers, most }) => attacked && attackers > most)
  if (outnumbered.length > 0) {
    const named = outnumbered.slice(0, NAMED).map(({ peer, attackers, most }) => `peer ${peer} (${attackers}, told ${most})`)
    const more = outnumbered.length > NAMED ? ` and ${outnumbered.length - NAMED} more` : ''
    warnings.push(`Some have more attackers among their neighbours than their rule withstands: ${named.join(', ')}${more}.`)
  }
  if (attacked && !isConnected(graph, (peer) => peer < honest)) {
    warnings.push(
      'Without the attackers the graph falls apart: the honest in different parts of it hear of each other through attackers alone.',
    )
  }
  return warnings
}
