// A running peer: wires the pure round machine to the network, the trainer, the aggregator and the store behind their ports.
import { asMurmurError, MurmurError } from '../../protocol/errors.ts'
import { encodeRecord, type LoneRecord } from '../../protocol/gossip.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { JOIN_PROTOCOL, TASK_PROTOCOL } from '../../protocol/join.ts'
import { initialState } from '../../protocol/round/reducer.ts'
import { waitingFor } from '../../protocol/round/view.ts'
import type { SignedRecord } from '../../protocol/signed.ts'
import { topicOf } from '../../protocol/task.ts'
import type { PeerEvent, Phase } from '../events.ts'
import { createAddressBook } from './address-book.ts'
import { createExchange } from './exchange.ts'
import { createInbox } from './inbox.ts'
import { createLoop } from './loop.ts'
import type { MemberEvent } from './member-book.ts'
import type { PeerParts } from './parts.ts'
import { describeMembers, type MemberStatus, type PeerStatus, told, type Waiting } from './status.ts'
import { awaitNoTwin } from './twins.ts'
import { createValidator } from './validator.ts'

export type { MemberStatus, PeerStatus } from './status.ts'

/** How often what is waited for, traffic and health are told: nothing waits in silence for longer than twice this. */
const HEARTBEAT_MILLIS = 2000
/** Milliseconds after which one that was put out loses its connection: the news of it comes over that. Nothing of its own is taken meanwhile. */
const FAREWELL_MILLIS = 1000

export interface Peer {
  /** Joins the topic and begins, or goes on where a former process of this peer stood. */
  start(): Promise<void>
  /** Stops cooperatively: the run in hand ends, nothing is cut. */
  stop(): Promise<void>
  status(): PeerStatus
  members(): MemberStatus[]
  /** One address of each connected member that has told any: for join lines. */
  knownAddresses(): string[]
  /** Takes a membership or revocation that was signed here into the book, where it is not yet, and tells it to all. */
  tell(record: LoneRecord): void
  /** Every event from now on; returns a function that ends it. */
  subscribe(listener: (event: PeerEvent) => void): () => void
  /** The newest model: the whole flat vector. */
  model(): Float32Array
  /** Settles when the peer has finished its rounds (reason), or fails for good. */
  readonly finished: Promise<string>
}

export function createPeer(parts: PeerParts): Peer {
  const { network, clock, store, task, members } = parts
  const listeners = new Set<(event: PeerEvent) => void>()
  const { promise: finished, resolve: onFinished, reject } = Promise.withResolvers<string>()
  finished.catch(() => {})
  let failed = false
  const evidence = new Map<PeerId, { first: Uint8Array; second: Uint8Array }>()
  const gate = { isMember: members.isMember, open: new Set([TASK_PROTOCOL, JOIN_PROTOCOL]) }
  const stopping = new AbortController()
  let cancelHeartbeat = () => {}
  let endBook = () => {}
  let isAdmitting = false
  const farewells = new Set<() => void>()
  /** Until the first round may begin. */
  let starting: Waiting | undefined = { what: 'the network' }
  let resumedRound = 0
  let phase: Phase = 'starting'

  function emit(event: PeerEvent): void {
    store.append(event, clock.wall())
    for (const listener of listeners) listener(event)
  }

  const loop = createLoop(parts, initialState(), {
    emit,
    tellPhase,
    onFinished,
    onFailed,
    onClockLeap: () => void exchange.withAll(),
    evidence,
  })
  const addresses = createAddressBook(parts, emit)
  const inbox = createInbox(parts, loop, emit, { addresses, evidence })
  const exchange = createExchange(parts, {
    records,
    take: inbox.take,
    isStalled: () => starting !== undefined || !['training', 'aggregating', 'finished'].includes(loop.state().phase),
  })

  /** Nothing is signed any more, even before whoever runs this peer has stopped it. */
  function onFailed(error: MurmurError): void {
    failed = true
    reject(error)
  }

  /** All that others may lack; who is to be believed comes before what they say. */
  function records(): SignedRecord[] {
    return [
      ...members.records(),
      ...[...evidence.values()].map((pair) => ({ kind: 'evidence' as const, ...pair })),
      ...loop.records().map((envelope) => ({ kind: 'update' as const, envelope })),
      ...addresses.records(),
    ]
  }

  /** Says what the peer does now and what it waits for. */
  function tellPhase(): void {
    const state = loop.state()
    phase = stopping.signal.aborted ? 'stopped' : starting ? 'starting' : state.phase
    const waiting = starting ?? waitingFor(state, loop.config, clock.now())
    emit({
      type: 'phase',
      round: starting ? resumedRound : state.round,
      phase,
      ...told(waiting),
    })
  }

  function tellPeers(): void {
    emit({ type: 'peers', connected: network.peers().length, members: loop.state().members.size + 1 })
  }

  function heartbeat(): void {
    tellPhase()
    addresses.refresh()
    emit({ type: 'traffic', ...network.traffic() })
    const health = parts.health?.()
    if (health !== undefined) emit({ type: 'health', ...health })
    cancelHeartbeat = clock.after(HEARTBEAT_MILLIS, heartbeat)
  }

  /** A whole page of certificates may come at once: the network looks at its connections once, after the last of them. */
  function readmit(): void {
    if (isAdmitting) return
    isAdmitting = true
    queueMicrotask(() => {
      isAdmitting = false
      if (!stopping.signal.aborted) network.admit(gate)
    })
  }

  function onMember(event: MemberEvent): void {
    emit(event)
    exchange.reconsider()
    if (event.member) {
      readmit()
      return
    }
    const cancel = clock.after(FAREWELL_MILLIS, () => {
      farewells.delete(cancel)
      readmit()
    })
    farewells.add(cancel)
    if (event.peer === network.self) {
      const ended = event.why === 'expired' ? 'has expired' : 'has ended with the rights of the admin who signed it'
      const [what, how] = members.revoked().has(network.self)
        ? ['was revoked', 'why']
        : [ended, `for a new one, by \`murmur invite --peer ${network.self}\``]
      onFailed(new MurmurError('not-admitted', `The membership of this peer ${what}; ask an admin of the network ${how}.`))
      return
    }
    addresses.forget(event.peer)
    loop.dispatch({ type: 'evict', peers: [event.peer] })
  }

  function beginRounds(): void {
    starting = undefined
    loop.begin()
  }

  /** Begins the rounds once it is known that nobody else signs as this peer. */
  async function begin(isResuming: boolean): Promise<void> {
    try {
      await awaitNoTwin(parts, {
        isResuming,
        isTwin: exchange.isTwin,
        liars: () => loop.config.byzantine(loop.state().members.size + 1),
        tell(what, untilMillis) {
          const isNews = starting?.what !== what
          starting = { what, ...(untilMillis !== undefined && { untilMillis }) }
          if (isNews) tellPhase()
        },
        signal: stopping.signal,
      })
      if (!stopping.signal.aborted && !failed) beginRounds()
    } catch (error) {
      onFailed(asMurmurError(error))
    }
  }

  return {
    finished,
    async start() {
      const resumed = await loop.restore()
      resumedRound = resumed?.round ?? 0
      network.admit(gate)
      endBook = members.subscribe(onMember)
      exchange.serve()
      inbox.recall()
      await network.subscribe(topicOf(task), {
        ...createValidator(parts, loop, inbox, stopping.signal),
        onPeer(peer) {
          loop.dispatch({ type: 'peer', peer, now: clock.now() })
          tellPeers()
          void exchange.with(peer)
        },
        onPeerGone(peer) {
          loop.dispatch({ type: 'peer-gone', peer, now: clock.now() })
          tellPeers()
        },
      })
      exchange.start()
      // Who has finished signs nothing any more. The others' answers are not waited for here: `start` needs nobody.
      if (resumed?.stage === 'final') beginRounds()
      else void begin(resumed !== undefined || addresses.hasToldBefore())
      heartbeat()
    },
    async stop() {
      if (stopping.signal.aborted) return
      stopping.abort()
      cancelHeartbeat()
      for (const cancel of farewells) cancel()
      endBook()
      exchange.stop()
      await loop.stop()
      emit({ type: 'traffic', ...network.traffic() })
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    tell(record) {
      if (record.kind === 'membership' || record.kind === 'revocation') members.take({ kind: record.kind, envelope: record.envelope })
      // Nobody may be there: whoever comes asks for it.
      network.publish(topicOf(task), encodeRecord(record)).catch(() => {})
    },
    model: () => loop.model(),
    knownAddresses: () => addresses.bestOf(network.peers()),
    members: () => describeMembers(parts, loop.state()),
    status() {
      const state = loop.state()
      const waiting = starting ?? waitingFor(state, loop.config, clock.now())
      return {
        peer: network.self,
        task: task.hex,
        name: task.manifest.name,
        round: starting ? resumedRound : state.round,
        phase,
        ...told(waiting),
        addresses: network.addresses(),
        members: describeMembers(parts, state),
        ...loop.metrics(),
        traffic: network.traffic(),
      }
    },
  }
}
