// The lab's run: many virtual peers, some of them attackers, with the product's own protocol, round loop, training and rules, in one process
// and in virtual time. The same options give the same results, to the bit, however busy the machine is.

import { parseLabRule } from '../../../protocol/aggregation/index.ts'
import { MurmurError } from '../../../protocol/errors.ts'
import { createPrng } from '../../../protocol/prng.ts'
import type { RoundConfig } from '../../../protocol/round/state.ts'
import { createVerifier } from '../../store/verify.ts'
import { parseLabAttack } from '../attacks/index.ts'
import { createBus } from '../bus.ts'
import { createVirtualClock, type VirtualClock } from '../virtual-clock.ts'
import { createChurn } from './churn.ts'
import { type Collusion, createCollusion } from './collusion.ts'
import { inVirtualTime } from './futures.ts'
import { promisesOf } from './promises.ts'
import { createRecorder } from './recorder.ts'
import { seededSigner } from './seeded.ts'
import { createSharedObjects, sharedVerify } from './shared-objects.ts'
import { makeSubject, type Subject } from './subject.ts'
import { buildGraph, type Graph, parseTopology } from './topology.ts'
import type { LabHooks, LabOptions, LabResult } from './types.ts'
import { createVirtualPeer, type VirtualPeer, type World } from './virtual-peer.ts'
import { openWorkshop, type Workshop } from './workshop.ts'

export { labDefaults, parseLabOptions } from './options.ts'
export { labOptions } from './schema.ts'
export type { LabHooks, LabOptions, LabResult, RoundRecord } from './types.ts'

/** Milliseconds since 1970 at which virtual time begins: certificates look at the clock on the wall. */
const EPOCH_MILLIS = Date.UTC(2026, 0, 1)
/** Virtual milliseconds without the end of a round after which a run is given up. */
const STALLED_MILLIS = 30 * 60_000
/** Virtual milliseconds in which peers stop. */
const STOP_MILLIS = 120_000
/** Different warnings that are told. */
const MOST_WARNINGS = 10

/** @throws MurmurError with one sentence: what is wrong with the options, or why the run could not go on; cancelled */
export async function runLab(options: LabOptions, hooks: LabHooks = {}): Promise<LabResult> {
  const began = performance.now()
  const { peers, byzantine, attack, seed } = options
  const honest = attack === undefined ? peers : peers - byzantine
  const graph = await buildGraph(parseTopology(options.topology), peers, seed)
  const tell = (text: string) => hooks.onProgress?.(text)
  const subject = await makeSubject(options, honest, tell)
  const warnings = new Set<string>()
  const warn = (text: string) => {
    if (warnings.has(text) || warnings.size >= MOST_WARNINGS) return
    warnings.add(text)
    hooks.onWarning?.(text)
  }
  for (const text of promisesOf(options, graph, subject.task.manifest.byzantineShare)) warn(text)
  const { least, most, test } = subject.samples
  tell(
    `${honest} honest peers with ${least === most ? least : `${least} to ${most}`} samples each, ${test} to test with. Compiling the model ...`,
  )
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

interface Run {
  graph: Graph
  honest: number
  subject: Subject
  workshop: Workshop
  hooks: LabHooks
  warn(text: string): void
  tell(text: string): void
}

async function runPeers(options: LabOptions, run: Run) {
  const { graph, subject, workshop, hooks, warn, tell } = run
  const { peers, seed, delay, drop, attack } = options
  const clock = createVirtualClock(EPOCH_MILLIS)
  const later = inVirtualTime(clock)
  const signers = Array.from({ length: peers }, (_, i) => seededSigner(`${seed} lab peer ${i}`))
  const ids = signers.map(({ peerId }) => peerId)
  const numberOf = new Map(ids.map((id, i) => [id, i]))
  const neighbours = graph.map((others) => new Set(others.map((other) => ids[other]!)))
  const bus = createLossyBus({
    clock,
    seed,
    delay,
    drop,
    ...(options.topology !== 'full' && { wires: (id) => neighbours[numberOf.get(id)!]! }),
  })
  const all: VirtualPeer[] = []
  let failure: unknown
  const onFailure = (error: unknown) => {
    failure ??= error
  }
  const collusion: Collusion | undefined =
    attack === undefined
      ? undefined
      : createCollusion(attack, {
          ...{ options, graph, honest: run.honest, ids, subject, workshop, clock, later },
          isAwaited: (peer, round) => all[peer]!.state === 'running' && all[peer]!.round <= round,
        })
  const world: World = {
    ...{ seed, clock, later, bus, subject, workshop, collusion },
    objects: createSharedObjects(peers),
    verify: sharedVerify(createVerifier(peers), peers),
    rounds: roundsOf(options),
    asksLosses: parseLabRule(options.rule).asksLosses,
    onFailure,
    onEvent(peer, event) {
      if (peer.attacker !== undefined) return
      if (event.type === 'warning') warn(event.message)
      if (event.type === 'aggregated') recorder.aggregated(peer, event)
      if (event.type === 'phase') onPhase(peer)
    },
  }
  /** The round at whose beginning attackers join. */
  const joins = (attack === undefined ? undefined : parseLabAttack(attack).joins) ?? 1
  for (const [index, signer] of signers.entries()) {
    const attacker = index < run.honest ? undefined : index - run.honest
    const expected = graph[index]!.filter((other) => joins <= 1 || other < run.honest).length
    all.push(createVirtualPeer(world, { index, attacker, signer, neighbours: neighbours[index]!, expected }))
  }
  const honest = all.slice(0, run.honest)
  let late = joins > 1 ? all.slice(run.honest) : []
  const recorder = createRecorder({
    ...{ honest, seed, clock, workshop, hooks },
    isAttacker: (id) => numberOf.get(id)! >= run.honest,
    hasSuccess: subject.sets.validation.samples > 0,
  })
  const churn = createChurn(options.churn, honest, seed, clock, onFailure)
  let furthest = 0
  let lastMove = 0

  function onPhase(peer: VirtualPeer): void {
    if (peer.state === 'running' && peer.round > furthest) {
      furthest = peer.round
      churn.onRound(furthest)
      if (furthest >= joins) {
        for (const attacker of late) attacker.start().catch(onFailure)
        late = []
      }
    }
    const under = honest.filter(({ state }) => state === 'running').map(({ round }) => round)
    const done = under.length > 0 ? Math.min(...under) : furthest + (honest.some(({ state }) => state === 'finished') ? 1 : 0)
    const before = recorder.closed()
    recorder.advance(Math.min(done, options.rounds + 1))
    if (recorder.closed() > before) lastMove = clock.now()
  }

  const isOver = () => honest.every(({ state }) => state === 'finished' || state === 'failed')
  const isStalled = () => clock.now() - lastMove > STALLED_MILLIS
  try {
    tell(`Starting ${peers} virtual peers ...`)
    for (const peer of all) if (!late.includes(peer)) await peer.start()
    await clock.runUntil(() => isOver() || failure !== undefined || isStalled() || hooks.signal?.aborted === true)
    if (hooks.signal?.aborted) throw new MurmurError('cancelled', 'The run was stopped.')
    if (failure !== undefined) throw failure
    const failed = honest.filter(({ state }) => state === 'failed')
    if (failed.length > 0) warn(`${failed.length} of ${honest.length} honest peers failed for good: ${failed[0]!.failure!.message}`)
    else if (!isOver()) throw stalled(honest)
    tell('Evaluating the models ...')
    const final = await recorder.finish()
    return { rounds: [...recorder.rounds], final }
  } finally {
    churn.end()
    await stopAll(all, clock)
  }
}

interface Wiring {
  clock: VirtualClock
  seed: number
  delay: number
  drop: number
  wires?: NonNullable<Parameters<typeof createBus>[0]['wires']>
}

function createLossyBus({ clock, seed, delay, drop, wires }: Wiring) {
  const jitter = createPrng(`${seed} lab delay`)
  const losses = createPrng(`${seed} lab drop`)
  const bus = createBus({
    clock,
    random: createPrng(`${seed} lab bus`).next,
    delayMillis: delay === 0 ? 0 : () => delay * (0.5 + jitter.next()),
    ...(wires && { wires }),
  })
  if (drop > 0) bus.lose(({ kind }) => kind === 'gossip' && losses.next() < drop)
  return bus
}

/** What the options say of rounds that a task does not. */
function roundsOf({ rule, fanout, f }: LabOptions): Partial<RoundConfig> {
  const { minInputs } = parseLabRule(rule)
  return {
    minInputs,
    ...(fanout !== undefined && { fullView: fanout, fullViewMost: fanout }),
    ...(f !== undefined && { faults: () => f }),
  }
}

function stalled(honest: readonly VirtualPeer[]): MurmurError {
  const slowest = honest.filter(({ state }) => state === 'running').reduce((x, y) => (y.round < x.round ? y : x))
  const what = slowest.waitingFor() ?? 'nothing that it names'
  return new MurmurError(
    'too-few-inputs',
    `No round has ended for ${STALLED_MILLIS / 60_000} virtual minutes: peer ${slowest.index} is in round ${slowest.round} and waits for ${what}. Give a smaller --byzantine, --drop or --churn, or more neighbours.`,
  )
}

async function stopAll(all: readonly VirtualPeer[], clock: VirtualClock): Promise<void> {
  let isDone = false
  const stopping = Promise.all(all.map((peer) => peer.stop())).finally(() => {
    isDone = true
  })
  stopping.catch(() => {})
  await clock.runUntil(() => isDone, STOP_MILLIS)
  await stopping
}
