// The attackers of a run, who know everything: they see each honest model of a round before they announce their own, together, and past
// the protocol. Attacks that tell each receiver something else are handed over past it as well: signed announcements rule them out.

import { parseLabRule } from '../../../protocol/aggregation/index.ts'
import type { PeerId } from '../../../protocol/identity.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { createPrng } from '../../../protocol/prng.ts'
import { parseLabAttack } from '../attacks/index.ts'
import { meanOf } from '../attacks/vectors.ts'
import { kernelRule } from '../kernel-rule.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import type { InVirtualTime } from './futures.ts'
import { isProduct, type Subject } from './subject.ts'
import type { Graph } from './topology.ts'
import type { LabOptions } from './types.ts'
import type { Workshop } from './workshop.ts'

/** Virtual milliseconds after which attackers announce although some honest peer has not: others would not wait for them for ever. */
const PATIENCE_MILLIS = 1500
/** Rounds that are remembered. */
const KEPT = 4

export interface Collusion {
  /** An honest peer begins to train. */
  began(round: number, peer: number, start: Float32Array): void
  /** What an honest peer announces. */
  announced(round: number, peer: number, vector: Float32Array): void
  /** What an attacker announces, once the honest have. @throws bad-argument where the attack cannot be made */
  announcedBy(round: number, attacker: number): Promise<Float32Array>
  /** What the attackers among `inputs` hand to one peer instead of what they announced; undefined where that is the same. */
  handedTo(round: number, peer: number, inputs: readonly PeerId[]): ReadonlyMap<PeerId, Float32Array> | undefined
}

export interface CollusionParts {
  options: LabOptions
  graph: Graph
  /** Honest peers come first. */
  honest: number
  ids: readonly PeerId[]
  subject: Subject
  workshop: Workshop
  clock: VirtualClock
  later: InVirtualTime
  /** Whether an honest peer may yet announce an update of a round. */
  isAwaited(peer: number, round: number): boolean
}

interface Known {
  starts: Map<number, Float32Array>
  vectors: Map<number, Float32Array>
  complete: Promise<void>
  proceed: () => void
  isAsked: boolean
  forged?: Promise<Float32Array[]>
}

export function createCollusion(text: string, parts: CollusionParts): Collusion {
  const { options, graph, honest, ids, subject, workshop, clock, later, isAwaited } = parts
  const { byzantine, seed } = options
  const attack = parseLabAttack(text)
  const rule = isProduct(options.rule) ? kernelRule(options.rule) : parseLabRule(options.rule)
  const { exchanged, manifest } = subject.task
  const numberOf = new Map(ids.map((id, i) => [id, i]))
  const rounds = new Map<number, Known>()
  /** Of each honest peer the newest. */
  const newest = new Map<number, Float32Array>()
  const trainings = Array.from({ length: byzantine }, () => ({ optimizer: new Float32Array(), steps: 0 }))
  let adjacency = { peers: '', weights: new Float64Array() }

  function knownOf(round: number): Known {
    const before = rounds.get(round)
    if (before !== undefined) return before
    const { promise, resolve } = Promise.withResolvers<void>()
    const known: Known = { starts: new Map(), vectors: new Map(), complete: promise, proceed: resolve, isAsked: false }
    rounds.set(round, known)
    for (const old of rounds.keys()) if (old <= round - KEPT) rounds.delete(old)
    return known
  }

  const isComplete = (round: number, { vectors }: Known): boolean =>
    Array.from({ length: honest }, (_, i) => i).every((peer) => vectors.has(peer) || !isAwaited(peer, round))

  /** In the order of the peers. */
  function vectorsOf(round: number): [number, Float32Array][] {
    const { vectors } = knownOf(round)
    const some = vectors.size > 0 ? vectors : newest
    return some.size > 0 ? [...some].sort(([a], [b]) => a - b) : [[0, subject.initial.subarray(0, exchanged)]]
  }

  function startOf(round: number): Float32Array {
    const starts = [...knownOf(round).starts].sort(([a], [b]) => a - b).map(([, start]) => start)
    return Float32Array.from(meanOf(starts.length > 0 ? starts : vectorsOf(round).map(([, vector]) => vector)))
  }

  async function trainOn(round: number, start: Float32Array): Promise<Float32Array[]> {
    const draw = createPrng(`${seed} attackers ${round}`)
    const whole = start.length === subject.initial.length ? start : Float32Array.from([...start, ...subject.initial.subarray(start.length)])
    return await Promise.all(
      trainings.map(async (training, attacker) => {
        const rows = subject.rows[honest + attacker]!
        const { steps } = manifest.work
        const request = {
          params: whole,
          optimizer: training.optimizer,
          steps,
          stepsBefore: training.steps,
          seed: draw.int(2 ** 32),
          order: { rows },
        }
        const result = await workshop.trainer.train(request)
        trainings[attacker] = { optimizer: result.optimizer as Float32Array<ArrayBuffer>, steps: training.steps + result.steps }
        return result.params.subarray(0, exchanged)
      }),
    )
  }

  async function forge(round: number): Promise<Float32Array[]> {
    const vectors = vectorsOf(round).map(([, vector]) => vector)
    // Those that differ from receiver to receiver are handed over; what is announced beside them matters to nobody.
    if (attack.perTarget) return [Float32Array.from(meanOf(vectors))]
    const start = startOf(round)
    const trained = attack.poison === undefined ? undefined : await later(0, trainOn(round, start))
    const { seen, f } = attack.againstRule ? oneView(vectors.length) : { seen: vectors.length, f: byzantine }
    const weights = Float64Array.from({ length: vectors.length + f }, (_, i) => (i < seen || i >= vectors.length ? 1 / (seen + f) : 0))
    const forged = attack.forge(vectors, f, { start, rule, weights, round, seed: `${seed} ${round}`, ...(trained && { trained }) })
    return forged.map((vector) => Float32Array.from(vector))
  }

  /** Of so many honest ones, how many a receiver sees, and how many attackers beside them. */
  function oneView(vectors: number): { seen: number; f: number } {
    const most = options.fanout ?? LIMITS.fullView
    const all = vectors + byzantine
    const degree = Math.max(...graph.map((neighbours) => neighbours.length))
    const view = Math.min(all, degree + 1, most + 1)
    const f = Math.min(byzantine, Math.max(1, Math.round((view * byzantine) / all)))
    return { seen: Math.max(1, Math.min(vectors, view - f)), f }
  }

  /** Who of the given honest peers pulls from whom. */
  function adjacencyOf(peers: readonly number[]): Float64Array {
    const key = peers.join()
    if (adjacency.peers === key) return adjacency.weights
    const weights = new Float64Array(peers.length ** 2)
    peers.forEach((a, i) => {
      const near = new Set(graph[a])
      peers.forEach((b, j) => {
        if (near.has(b)) weights[i * peers.length + j] = 1 / peers.length
      })
    })
    adjacency = { peers: key, weights }
    return weights
  }

  return {
    began(round, peer, start) {
      knownOf(round).starts.set(peer, start.subarray(0, exchanged))
    },
    announced(round, peer, vector) {
      const known = knownOf(round)
      // The final update is another one of the last round.
      if (!known.vectors.has(peer)) known.vectors.set(peer, vector)
      newest.set(peer, vector)
      for (const [other, each] of rounds) if (each.isAsked && isComplete(other, each)) each.proceed()
    },
    async announcedBy(round, attacker) {
      const known = knownOf(round)
      if (!known.isAsked) {
        known.isAsked = true
        if (isComplete(round, known)) known.proceed()
        else clock.after(PATIENCE_MILLIS, known.proceed)
      }
      await known.complete
      known.forged ??= forge(round)
      const forged = await known.forged
      return forged[attacker % forged.length]!
    },
    handedTo(round, peer, inputs) {
      if (!attack.perTarget) return undefined
      const others = inputs.map((id) => numberOf.get(id)!)
      const attackers = others.filter((other) => other >= honest)
      const given = vectorsOf(round)
      const own = given.findIndex(([other]) => other === peer)
      if (attackers.length === 0 || own < 0) return undefined
      const seen = new Set([peer, ...others])
      const weight = 1 / seen.size
      const weights = [...given.map(([other]) => (seen.has(other) ? weight : 0)), ...attackers.map(() => weight)]
      const forged = attack.forge(
        given.map(([, vector]) => vector),
        attackers.length,
        {
          own,
          weights,
          graph: adjacencyOf(given.map(([other]) => other)),
          rule,
          start: startOf(round),
          round,
          seed: `${seed} ${round} ${peer}`,
        },
      )
      return new Map(attackers.map((attacker, i) => [ids[attacker]!, Float32Array.from(forged[i]!)]))
    },
  }
}
