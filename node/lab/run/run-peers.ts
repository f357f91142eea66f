// A network of virtual peers from its start until the last honest peer has done its rounds.
import { parseLabRule } from '../../../protocol/aggregation/index.ts'
import { MurmurError } from '../../../protocol/errors.ts'
import { createPrng } from '../../../protocol/prng.ts'
import type { RoundConfig } from '../../../protocol/round/state.ts'
import { createVerifier } from '../../store/verify.ts'
import { parseLabAttack } from '../attacks/index.ts'
import { type Bus, type BusOptions, createBus } from '../bus.ts'
import { createVirtualClock, type VirtualClock } from '../virtual-clock.ts'
import { createChurn } from './churn.ts'
import { createCollusion } from './collusion.ts'
import { inVirtualTime } from './futures.ts'
import { createRecorder, type Final } from './recorder.ts'
import { seededSigner } from './seeded.ts'
import { createSharedObjects, sharedVerify } from './shared-objects.ts'
import type { Subject } from './subject.ts'
import type { Graph } from './topology.ts'
import type { LabHooks, LabOptions, RoundRecord } from './types.ts'
import { createVirtualPeer, type VirtualPeer, type World } from './virtual-peer.ts'
import type { Workshop } from './workshop.ts'

/** Milliseconds since 1970 at which virtual time begins: certificates look at the clock on the wall. */
const EPOCH_MILLIS = Date.UTC(2026, 0, 1)
/** Virtual milliseconds without the end of a round after which a run is given up. */
const STALLED_MILLIS = 30 * 60_000
/** Virtual milliseconds in which peers stop. */
const STOP_MILLIS = 120_000

export interface Run {
  graph: Graph
  /** Peers that are; they come first. */
  honest: number
  subject: Subject
  workshop: Workshop
  hooks: LabHooks
  warn(text: string): void
  tell(text: string): void
}

/** @throws as `runLab` */
export async function runPeers(options: LabOptions, run: Run): Promise<{ rounds: RoundRecord[]; final: Final }> {
  const { subject, workshop, hooks, warn } = run
  const { peers, seed, attack } = options
  const clock = createVirtualClock(EPOCH_MILLIS)
  const later = inVirtualTime(clock)
  let failure: unknown
  const onFailure = (error: unknown) => {
    failure ??= error
  }
  const { places, ids } = placesOf(options, run)
  const neighboursOf = new Map(places.map(({ signer, neighbours }) => [signer.peerId, neighbours]))
  const parts = { options, graph: run.graph, honest: run.honest, ids, subject, workshop, clock, later }
  const isAwaited = (peer: number, round: number) => all[peer]!.state === 'running' && all[peer]!.round <= round
  const world: World = {
    ...{ seed, clock, later, subject, workshop, onFailure },
    bus: lossyBus(options, clock, options.topology === 'full' ? undefined : (id) => neighboursOf.get(id)!),
    collusion: attack === undefined ? undefined : createCollusion(attack, { ...parts, isAwaited }),
    objects: createSharedObjects(peers),
    verify: sharedVerify(createVerifier(peers), peers),
    rounds: roundsOf(options),
    asksLosses: parseLabRule(options.rule).asksLosses,
    onEvent(peer, event) {
      if (peer.attacker !== undefined) return
      if (event.type === 'warning') warn(event.message)
      if (event.type === 'aggregated') recorder.aggregated(peer, event)
      if (event.type === 'phase') onPhase(peer)
    },
  }
  const all = places.map((place) => createVirtualPeer(world, place))
  const honest = all.slice(0, run.honest)
  const hasSuccess = subject.sets.validation.samples > 0
  const attackers = new Set(ids.slice(run.honest))
  const recorder = createRecorder({ honest, attackers, seed, hasSuccess, clock, workshop, hooks, onFailure })
  const churn = createChurn(options.churn, honest, seed, clock, onFailure)
  const joins = joinsOf(options)
  let late = joins > 1 ? all.slice(run.honest) : []
  let furthest = 0
  let movedAt = 0

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
    const isAnyDone = honest.some(({ state }) => state === 'finished')
    const slowest = under.length > 0 ? Math.min(...under) : furthest + (isAnyDone ? 1 : 0)
    if (recorder.advance(slowest)) movedAt = clock.now()
  }

  const isOver = () => honest.every(({ state }) => state === 'finished' || state === 'failed')
  const isStalled = () => clock.now() - movedAt > STALLED_MILLIS
  try {
    run.tell(`Starting ${peers} virtual peers ...`)
    for (const peer of all) if (!late.includes(peer)) await peer.start()
    await clock.runUntil(() => isOver() || isStalled() || failure !== undefined || hooks.signal?.aborted === true)
    if (hooks.signal?.aborted) throw new MurmurError('cancelled', 'The run was stopped.')
    if (failure !== undefined) throw failure
    const failed = honest.filter(({ state }) => state === 'failed')
    if (failed.length > 0) warn(`${failed.length} of ${honest.length} honest peers failed for good: ${failed[0]!.failure!.message}`)
    else if (!isOver()) throw stalled(honest)
    run.tell('Evaluating the models ...')
    const final = await recorder.finish()
    return { rounds: [...recorder.rounds], final }
  } finally {
    churn.end()
    await stopAll(all, clock)
  }
}

/** The round at whose beginning attackers join. */
const joinsOf = ({ attack }: LabOptions): number => (attack === undefined ? 1 : (parseLabAttack(attack).joins ?? 1))

/** Who the peers are, and whom each knows. */
function placesOf(options: LabOptions, { graph, honest }: Run) {
  const signers = graph.map((_, i) => seededSigner(`${options.seed} lab peer ${i}`))
  const ids = signers.map(({ peerId }) => peerId)
  const isLate = joinsOf(options) > 1
  const places = graph.map((others, index) => ({
    ...{ index, signer: signers[index]!, neighbours: new Set(others.map((other) => ids[other]!)) },
    attacker: index < honest ? undefined : index - honest,
    expected: others.filter((other) => !isLate || other < honest).length,
  }))
  return { ids, places }
}

function lossyBus({ seed, delay, drop }: LabOptions, clock: VirtualClock, wires: BusOptions['wires']): Bus {
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
  return {
    minInputs: parseLabRule(rule).minInputs,
    ...(fanout !== undefined && { fullView: fanout, fullViewMost: fanout }),
    ...(f !== undefined && { faults: () => f }),
  }
}

function stalled(honest: readonly VirtualPeer[]): MurmurError {
  const left = honest.filter(({ state }) => state !== 'finished')
  const slowest = left.reduce((x, y) => (y.round < x.round ? y : x))
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
  if (isDone) await stopping
}
