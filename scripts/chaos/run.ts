// One network from its founding until every honest peer has finished: left alone, or disturbed as planned.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import type { Lan } from './lan.ts'
import { createMember, type Member } from './member.ts'
import { type Disturbance, planOf, type Scale } from './plan.ts'

const SAMPLE_MILLIS = 2000
const PROGRESS_MILLIS = 15_000
const PORT = 4001
/** A running peer that says nothing for so long has frozen: it speaks every two seconds. */
const FROZEN_MILLIS = 60_000

export interface Run {
  members: Member[]
  honest: Member[]
  seconds: number
  /** Peers that did not stop when asked. */
  hanging: number[]
}

/** The middle one of where the honest peers are. */
export const front = (honest: readonly Member[]): number =>
  honest.map(({ rounds }) => Math.max(0, ...rounds.keys())).sort((a, b) => a - b)[honest.length >> 1] ?? 0

/** @param say takes a line about how it goes @throws Error where the network stands still, or takes too long */
export async function runNetwork(
  lan: Lan,
  dir: string,
  scale: Scale,
  chaos: { seed: number } | undefined,
  say: (line: string) => void,
): Promise<Run> {
  const began = performance.now()
  const changed = new Set<() => void>()
  let progressed = began
  const members = Array.from({ length: scale.peers }, (_, i) => {
    const attack = scale.attackers[i - (scale.peers - scale.attackers.length)]
    return createMember(lan, i + 1, attack, (event) => {
      if (attack === undefined && (event.type === 'aggregated' || event.type === 'evaluated' || event.type === 'ready'))
        progressed = performance.now()
      for (const look of [...changed]) look()
    })
  })
  const honest = members.filter(({ misbehaves }) => misbehaves === undefined)
  const seconds = () => (performance.now() - began) / 1000

  /** Resolves when `look` finds something; rejects where the network stands still. */
  function until<V>(what: string, look: () => V | undefined): Promise<V> {
    return new Promise((done, failed) => {
      const end = (settle: () => void) => {
        clearInterval(timer)
        changed.delete(check)
        settle()
      }
      const check = () => {
        const found = look()
        const dead = honest.find(({ died }) => died !== undefined)
        const frozen = members.find(({ longestSilence }) => longestSilence > FROZEN_MILLIS)
        const stalled = performance.now() - progressed > scale.stallSeconds * 1000
        if (found !== undefined) end(() => done(found))
        else if (dead !== undefined) end(() => failed(new Error(`Peer ${dead.index} ended by itself (${dead.died}).`)))
        else if (frozen !== undefined)
          end(() =>
            failed(new Error(`Peer ${frozen.index} has frozen: no word for ${FROZEN_MILLIS / 1000} s, the last one ${frozen.said}`)),
          )
        else if (stalled || seconds() > scale.seconds)
          end(() => failed(new Error(`${stalled ? 'Nothing moves' : 'Time is up'}: no ${what}.\n${whereabouts(honest)}`)))
      }
      const timer = setInterval(check, 1000)
      changed.add(check)
      check()
    })
  }

  const sampling = setInterval(() => {
    for (const member of members) member.sample()
  }, SAMPLE_MILLIS)
  const telling = setInterval(() => say(`${seconds().toFixed(0).padStart(4)} s  ${describe(honest)}`), PROGRESS_MILLIS)
  try {
    const [founder, ...joiners] = members
    await mkdir(dir, { recursive: true })
    founder!.start(['start', join(dir, '1'), ...taskOf(scale), ...localOf(lan, scale, founder!, chaos !== undefined)])
    const line = await until('join line', () => founder!.joinLine)
    for (const member of joiners) {
      member.start(['join', line, '--dir', join(dir, String(member.index)), ...localOf(lan, scale, member, chaos !== undefined)])
    }
    const done = until('end', () => (honest.every(({ testAccuracy }) => testAccuracy !== undefined) ? true : undefined))
    const disturbing = chaos === undefined ? undefined : disturb(chaos.seed)
    await Promise.all([done, disturbing])
    const took = seconds()
    clearInterval(telling)
    const hanging = await stopAll()
    return { members, honest, seconds: took, hanging }
  } finally {
    clearInterval(sampling)
    clearInterval(telling)
    await stopAll()
  }

  async function stopAll(): Promise<number[]> {
    const stopped = await Promise.all(members.map((member) => member.stop()))
    return members.flatMap(({ index }, i) => (stopped[i] ? [] : [index]))
  }

  async function disturb(seed: number): Promise<void> {
    const underWay: Promise<void>[] = []
    /** What happens to one peer happens in order; partitions too. */
    const queues = new Map<number, Promise<void>>()
    for (const { at, disturbance } of planOf(scale, seed)) {
      await until(`round ${at} in the middle`, () => (front(honest) >= at ? true : undefined))
      const queue = disturbance.kind === 'partition' ? 0 : disturbance.peer
      const next = (queues.get(queue) ?? Promise.resolve()).then(() => happen(disturbance))
      queues.set(queue, next)
      underWay.push(next)
    }
    await Promise.all(underWay)
  }

  async function happen(disturbance: Disturbance): Promise<void> {
    const millis = disturbance.seconds * 1000
    const what = disturbance.kind === 'partition' ? `of ${disturbance.group.join(', ')} from the rest` : `of ${disturbance.peer}`
    say(`${seconds().toFixed(0).padStart(4)} s  ${disturbance.kind} ${what} for ${disturbance.seconds.toFixed(1)} s`)
    if (disturbance.kind === 'partition') {
      lan.partition(disturbance.group)
      await pass(millis)
      lan.heal()
      return
    }
    const member = members[disturbance.peer - 1]!
    if (disturbance.kind === 'pause') {
      member.pause()
      await pass(millis)
      member.resume()
      return
    }
    await member.kill()
    await pass(millis)
    member.start([])
  }
}

function taskOf({ peers, rounds, work, byzantineShare, gatherSeconds }: Scale): string[] {
  const [least, most] = gatherSeconds
  const pace = ['--min-peers', peers, '--rounds', rounds, '--gather-min-seconds', least, '--gather-max-seconds', most]
  return ['--name', 'chaos', '--model', 'mnist-cnn', '--test-task', '--byzantine-share', byzantineShare, ...pace, ...work].map(String)
}

/** Each attacker has the same data as one of the honest peers: without it nothing is missing that only it could tell. */
function localOf(lan: Lan, { peers, attackers, alpha }: Scale, member: Member, misbehaving: boolean): string[] {
  const parts = peers - attackers.length
  const data = ['--data', 'mnist', '--shard', `${((member.index - 1) % parts) + 1}/${parts}`, '--alpha', String(alpha)]
  const listen = ['--listen', `/ip4/${lan.address(member.index)}/tcp/${PORT}`]
  const role = member.misbehaves === undefined ? ['--test'] : misbehaving ? ['--misbehave', member.misbehaves] : []
  return ['--json', ...data, ...listen, ...role]
}

function describe(honest: readonly Member[]): string {
  const rounds = honest.map(({ rounds }) => Math.max(0, ...rounds.keys()))
  const accuracies = honest.flatMap(({ accuracies }) => [...accuracies.values()].at(-1) ?? [])
  const mean = accuracies.reduce((sum, each) => sum + each, 0) / Math.max(1, accuracies.length)
  return `rounds ${rounds.join(' ')}; validation accuracy ${(100 * mean).toFixed(1)} %`
}

const whereabouts = (honest: readonly Member[]): string => honest.map(({ index, said }) => `  peer ${index}: ${said}`).join('\n')
