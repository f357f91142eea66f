// What the chaos test demands of a run, each demand with what was found.
import { shortId } from '../../protocol/identity.ts'
import { REJECTIONS } from '../../protocol/rejections.ts'
import type { Member, Usage } from './member.ts'
import type { Scale } from './plan.ts'
import type { Run } from './run.ts'

const MIB = 2 ** 20
/** Bytes and descriptors that one peer of such a small network may have. */
const MOST_RSS = 450 * MIB
const MOST_DESCRIPTORS = 160
/** By what either may grow from the second quarter of a process's life to the last: caches fill, leaks go on. */
const MOST_GROWTH = 1.35
/** Samples of a process from which on its growth can be judged. */
const ENOUGH_SAMPLES = 24
/** Milliseconds that a running peer may say nothing: it speaks every two seconds where it gets the processor. */
const MOST_SILENCE = 20_000
/** Of the share of right answers. */
const MOST_LOSS = 0.01
/** Share of the rounds, at the end, in which every honest peer must have used the model of every other: nobody was dropped for good. */
const LAST_SHARE = 1 / 3

export interface Verdict {
  demand: string
  found: string
  ok: boolean
}

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
const least = (values: readonly number[]): number => Math.min(...values)
const most = (values: readonly number[]): number => Math.max(0, ...values)
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`

export function judge(baseline: Run, { honest, members, hanging }: Run, scale: Scale): Verdict[] {
  const counts = honest.map(({ rounds }) => rounds.size)
  const undisturbed = mean(baseline.honest.map(({ testAccuracy }) => testAccuracy ?? 0))
  const worst = least(honest.map(({ testAccuracy }) => testAccuracy ?? 0))
  const liars = members.filter(({ misbehaves }) => misbehaves?.startsWith('equivocate'))
  const early = climbed(baseline, scale.rounds / 3)
  const late = climbed(baseline, scale.rounds)
  const notShutOut = honest.filter((member) => !liars.every(({ id }) => member.shutOut.has(id)))
  const wronged = honest.flatMap((member) => accusations(member, honest))
  const apart = honest.flatMap((member) => missing(member, honest, scale.rounds))
  const usage = honest.flatMap((member) => member.usage)
  const silence = most(honest.map(({ longestSilence }) => longestSilence))
  const verdicts = [
    { demand: 'accuracy still climbs over the rounds', found: `${percent(early)} to ${percent(late)}`, ok: late > early },
    {
      demand: `every honest peer aggregates in at least ${scale.leastRounds} of ${scale.rounds} rounds`,
      found: counts.join(' '),
      ok: least(counts) >= scale.leastRounds,
    },
    {
      demand: `every honest peer ends within ${100 * MOST_LOSS} point of the undisturbed run`,
      found: `worst ${percent(worst)}, undisturbed ${percent(undisturbed)}`,
      ok: worst >= undisturbed - MOST_LOSS,
    },
    { demand: 'no honest peer is shut out or blamed', found: wronged.join('; ') || 'none', ok: wronged.length === 0 },
    { demand: 'in the end honest peers use the models of all honest peers', found: apart.join('; ') || 'they do', ok: apart.length === 0 },
    {
      demand: 'memory is bounded',
      found: `at most ${(most(usage.flatMap(({ rss }) => rss)) / MIB).toFixed(0)} MiB, growth ${growth(usage, 'rss').toFixed(2)}`,
      ok: most(usage.flatMap(({ rss }) => rss)) <= MOST_RSS && growth(usage, 'rss') <= MOST_GROWTH,
    },
    {
      demand: 'descriptors are bounded',
      found: `at most ${most(usage.flatMap(({ descriptors }) => descriptors))}, growth ${growth(usage, 'descriptors').toFixed(2)}`,
      ok: most(usage.flatMap(({ descriptors }) => descriptors)) <= MOST_DESCRIPTORS && growth(usage, 'descriptors') <= MOST_GROWTH,
    },
    {
      demand: 'nothing waits in silence',
      found: `longest silence ${(silence / 1000).toFixed(1)} s, ${honest.reduce((sum, { silentWaits }) => sum + silentWaits, 0)} waits without a word`,
      ok: silence <= MOST_SILENCE && honest.every(({ silentWaits }) => silentWaits === 0),
    },
    { demand: 'all peers stop when asked', found: hanging.join(' ') || 'they do', ok: hanging.length === 0 },
  ]
  if (liars.length > 0) {
    const found = notShutOut.length === 0 ? 'it is' : `not by ${notShutOut.map(({ index }) => index).join(', ')}`
    verdicts.push({ demand: 'the equivocator is shut out by every honest peer', found, ok: notShutOut.length === 0 })
  }
  for (const attacker of members) verdicts.push(...noticed(attacker, honest))
  return verdicts
}

/** Mean validation accuracy of the honest peers after a round. */
function climbed({ honest }: Run, round: number): number {
  return mean(honest.flatMap(({ accuracies }) => accuracies.get(Math.round(round)) ?? []))
}

/** What a member has held against honest ones. */
function accusations(member: Member, honest: readonly Member[]): string[] {
  const index = new Map(honest.map(({ id, index }) => [id, index]))
  const shutOut = [...member.shutOut].flatMap((id) => (index.has(id) ? [`${member.index} shut out ${index.get(id)}`] : []))
  const blamed = member.rejected.flatMap(({ code, from, author, count }) => {
    const { fault } = REJECTIONS[code]
    const at = fault === 'forwarder' ? from : fault === 'author' ? author : undefined
    return at !== undefined && index.has(at) ? [`${member.index} blamed ${index.get(at)} for ${code} (${count})`] : []
  })
  return [...shutOut, ...blamed]
}

/** Honest peers whose model a member has not used in the last part of the rounds. */
function missing(member: Member, honest: readonly Member[], rounds: number): string[] {
  const used = new Set([...member.rounds].flatMap(([round, authors]) => (round > rounds * (1 - LAST_SHARE) ? authors : [])))
  return honest.flatMap(({ id, index }) => (used.has(id) ? [] : [`${member.index} without ${index}`]))
}

/** The largest growth of what processes that ran long enough used. */
function growth(usage: readonly Usage[], what: keyof Usage): number {
  return most(
    usage.flatMap(({ [what]: samples }) => {
      if (samples.length < ENOUGH_SAMPLES) return []
      const quarter = Math.floor(samples.length / 4)
      return mean(samples.slice(-quarter)) / mean(samples.slice(quarter, 2 * quarter))
    }),
  )
}

/** By which codes honest peers notice a misbehaviour. What a flooder sends is garbage too, which may end it before its number does. */
const SIGNS: Record<string, { codes: (keyof typeof REJECTIONS)[]; by: 'from' | 'author' }> = {
  flood: { codes: ['flood', 'malformed', 'bad-signature', 'bad-evidence'], by: 'from' },
  withhold: { codes: ['unavailable'], by: 'author' },
  'bad-chunks': { codes: ['bad-chunk'], by: 'from' },
}

function noticed({ id, misbehaves }: Member, honest: readonly Member[]): Verdict[] {
  const sign = SIGNS[misbehaves?.split(':')[0] ?? '']
  if (sign === undefined) return []
  const { codes, by } = sign
  const times = honest.map(({ rejected }) =>
    rejected.reduce((sum, entry) => sum + (codes.includes(entry.code) && entry[by] === id ? entry.count : 0), 0),
  )
  const demand = `${misbehaves} (…${shortId(id)}) is noticed by every honest peer: ${codes.join(', ')}`
  return [{ demand, found: times.join(' '), ok: times.every((count) => count > 0) }]
}
