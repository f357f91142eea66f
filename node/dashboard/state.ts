// What the dashboard shows, as plain data that events change: the page gets it whole once, and from then on each change.
import type { InputAudit } from '../../protocol/aggregation/types.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import type { PeerEvent, Phase } from '../events.ts'
import type { MemberStatus } from '../peer/status.ts'
import type { Evaluation, Flow } from '../ports.ts'
import type { RejectionTotals, RoundHistory } from '../store/history.ts'
import { type Columns, createRounds, type Rounds, spreadOf } from './rounds.ts'

/** Lines of what happened that are kept. */
const LOG_KEPT = 200
/** Peers of whom each thing is kept: strangers can have any number of names. */
const PEERS_KEPT = LIMITS.members

export type Input = InputAudit & { author: PeerId; round: number; accuracy?: number }

/** The newest payload of a peer that is here: who sent it, and for which round it was announced. */
export interface Pulled {
  round: number
  from: PeerId[]
  bytes: number
}

export interface LogLine {
  at: number
  /** For colour: `bad` is misbehaviour, `warn` something to look at. */
  kind: 'plain' | 'warn' | 'bad'
  text: string
  round?: number
}

export interface RejectionCount {
  count: number
  lastAt: number
}

/** Fixed for the life of the process. */
export interface About {
  peer: PeerId
  name: string
  task: string
  dir: string
  startedAt: number
  /** Lists of what is agreed and of what is this peer's own, for people. */
  model: [term: string, value: string][]
  rules: [term: string, value: string][]
  data: [term: string, value: string][]
  /** What each rejection code means. */
  reasons: Record<string, { why: string; fault: string }>
}

export interface DashboardState {
  about?: About
  phase: { round: number; phase: Phase; waitingFor?: string; untilSeconds?: number; at: number }
  peers: { connected: number; members: number }
  traffic: Flow & { at: number }
  protocols: Record<string, Flow>
  health?: { rssBytes: number; eventLoopP99Millis: number }
  rounds: Columns
  /** The newest aggregation. */
  inputs?: { round: number; rule: string; f: number; rows: Input[] }
  test?: Evaluation & { round: number }
  members: Record<PeerId, MemberStatus>
  /** By author. */
  pulled: Record<PeerId, Pulled>
  /** Bytes of payloads sent to each since the start. */
  served: Record<PeerId, number>
  rejections: Partial<Record<RejectionCode, RejectionCount>>
  /** By peer, what was turned away that was its fault. */
  accused: Record<PeerId, Partial<Record<RejectionCode, number>>>
  /** Who has signed two different updates for one round. */
  equivocations: Record<PeerId, { round: number; at: number }>
  log: LogLine[]
  finished?: { round: number; reason: string; accuracy?: number; model?: string }
}

type Keyed = 'members' | 'pulled' | 'served' | 'rejections' | 'accused' | 'equivocations'
/** One change: a value replaced, an entry replaced or (undefined) removed, a round's row, a line of the log. */
export type Change =
  | { set: keyof DashboardState; value: unknown }
  | { put: Keyed; key: string; value: unknown }
  | { round: (number | null)[] }
  | { log: LogLine }

/** What former processes of this peer have left in its directory. */
export interface Past {
  rounds: RoundHistory[]
  rejections: RejectionTotals[]
  happenings: { at: number; event: PeerEvent }[]
}

export interface Watched {
  readonly state: DashboardState
  /** Takes in an event; returns what has changed. */
  note(event: PeerEvent, at: number): Change[]
  /** Takes in what is asked for rather than told: only the changes are returned. */
  look(now: { members: MemberStatus[]; protocols: Record<string, Flow>; served: ReadonlyMap<PeerId, number> }): Change[]
  about(about: About): Change[]
}

export function createState(past: Past): Watched {
  const rounds: Rounds = createRounds(past.rounds)
  const state: DashboardState = {
    phase: { round: past.rounds.at(-1)?.round ?? 0, phase: 'starting', at: 0 },
    peers: { connected: 0, members: 1 },
    traffic: { received: 0, sent: 0, at: 0 },
    protocols: {},
    rounds: rounds.columns,
    members: {},
    pulled: {},
    served: {},
    rejections: {},
    accused: {},
    equivocations: {},
    log: [],
  }

  function set<K extends keyof DashboardState>(key: K, value: DashboardState[K]): Change {
    state[key] = value
    return { set: key, value }
  }

  function put<K extends Keyed>(map: K, key: string, value: DashboardState[K][keyof DashboardState[K]]): Change[] {
    const entries: Record<string, unknown> = state[map]
    const keys = Object.hasOwn(entries, key) ? [] : Object.keys(entries)
    const gone = keys.slice(0, Math.max(0, keys.length + 1 - PEERS_KEPT)).flatMap((oldest) => drop(map, oldest))
    entries[key] = value
    return [...gone, { put: map, key, value }]
  }

  function drop(map: Keyed, key: string): Change[] {
    delete (state[map] as Record<string, unknown>)[key]
    return [{ put: map, key, value: undefined }]
  }

  function tell(at: number, text: string, kind: LogLine['kind'] = 'plain', round?: number): Change {
    const line = { at, kind, text, ...(round !== undefined && { round }) }
    state.log.push(line)
    if (state.log.length > LOG_KEPT) state.log.shift()
    return { log: line }
  }

  function reject(code: RejectionCode, who: PeerId | undefined, count: number, at: number): Change[] {
    const { count: before = 0 } = state.rejections[code] ?? {}
    const changes = put('rejections', code, { count: before + count, lastAt: at })
    if (who === undefined || REJECTIONS[code].fault === 'nobody') return changes
    const known = state.accused[who]
    if (known === undefined && Object.keys(state.accused).length >= PEERS_KEPT) return changes
    return [...changes, ...put('accused', who, { ...known, [code]: (known?.[code] ?? 0) + count })]
  }

  function aggregate(event: Extract<PeerEvent, { type: 'aggregated' }>, at: number): Change[] {
    const { round, rule, f, inputs, accepted, trimmed, rejected, influence, seconds } = event
    const others = inputs.filter(({ author }) => author !== state.about?.peer)
    const distance = spreadOf(others.map((input) => input.distance))
    const accuracy = spreadOf(others.map((input) => input.accuracy))
    const changes: Change[] = [
      {
        round: rounds.put({
          ...{ round, at, accepted, trimmed, rejected, influence, aggregateSeconds: seconds },
          ...{ distanceLow: distance.low, distanceMedian: distance.median, distanceHigh: distance.high },
        }),
      },
      set('inputs', { round, rule, f, rows: inputs }),
    ]
    // What they tell is of the model that this round began with, which is what the one before made.
    const { low: othersLow, median: othersMedian, high: othersHigh } = accuracy
    if (othersMedian !== undefined) changes.push({ round: rounds.put({ round: round - 1, othersLow, othersMedian, othersHigh }) })
    return changes
  }

  function note(event: PeerEvent, at: number): Change[] {
    switch (event.type) {
      case 'ready':
        return [tell(at, event.resumed ? `The peer is up again, at round ${event.round}` : 'The peer is up')]
      case 'phase': {
        const { type: _, ...phase } = event
        return [set('phase', { ...phase, at })]
      }
      case 'peers':
        return [set('peers', { connected: event.connected, members: event.members })]
      case 'trained':
        return [{ round: rounds.put({ round: event.round, at, trainLoss: event.loss, trainSeconds: event.seconds }) }]
      case 'evaluated': {
        const { type: _, split, ...evaluation } = event
        if (split === 'test') return [set('test', evaluation)]
        return [{ round: rounds.put({ round: event.round, at, loss: event.loss, accuracy: event.accuracy }) }]
      }
      case 'aggregated':
        return aggregate(event, at)
      case 'received': {
        const { author, round, from, bytes } = event
        return put('pulled', author, { round, from, bytes })
      }
      case 'rejected': {
        const who = REJECTIONS[event.code].fault === 'author' ? event.author : event.from
        const changes = reject(event.code, who, 1, at)
        // The first of a kind is news, and each tenfold.
        const { count = 0 } = state.rejections[event.code] ?? {}
        if (REJECTIONS[event.code].fault === 'nobody' || !/^10*$/.test(String(count))) return changes
        const by = who === undefined ? '' : `, by …${who.slice(-8)}`
        return [...changes, tell(at, `Rejected (${event.code}, ${count} so far): ${REJECTIONS[event.code].why}${by}`, 'bad', event.round)]
      }
      case 'equivocation': {
        const { author, round } = event
        const text = `Peer …${author.slice(-8)} signed two different updates for round ${round}: shut out`
        return [...put('equivocations', author, { round, at }), tell(at, text, 'bad', round)]
      }
      case 'traffic':
        return [set('traffic', { received: event.received, sent: event.sent, at })]
      case 'health':
        return [set('health', { rssBytes: event.rssBytes, eventLoopP99Millis: event.eventLoopP99Millis })]
      case 'warning':
        return [tell(at, event.message, 'warn')]
      case 'jumped':
        return [tell(at, `Jumped from round ${event.from} to ${event.to}, where the others are`, 'warn', event.to)]
      case 'synced': {
        const what = event.adopted ? 'Took over the state of' : 'Kept the own state rather than that of'
        return [tell(at, `${what} ${event.inputs} others at round ${event.to}`, 'plain', event.to)]
      }
      case 'member': {
        const who = `${event.role === 'admin' ? 'Admin' : 'Peer'} …${event.peer.slice(-8)}`
        return [tell(at, event.member ? `${who} is a member now` : `${who} is no member any more (${event.why})`)]
      }
      case 'finished': {
        const { type: _, ...finished } = event
        return [set('finished', finished), tell(at, `Finished at round ${event.round}: ${event.reason}`, 'plain', event.round)]
      }
      default:
        return []
    }
  }

  for (const { code, author, count, lastAt } of past.rejections) {
    // Of an older version's, none is shown that is not known. Whose fault it was on the way is not in the history.
    if (isCode(code)) reject(code, REJECTIONS[code].fault === 'author' ? author : undefined, count, lastAt)
  }
  for (const { at, event } of past.happenings) note(event, at)

  return {
    state,
    note,
    about: (about) => [set('about', about)],
    look({ members, protocols, served }) {
      const changes: Change[] = []
      for (const { seenSecondsAgo: _, ...member } of members) {
        if (!isSame(state.members[member.peer], member)) changes.push(...put('members', member.peer, member))
      }
      const there = new Set(members.map(({ peer }) => peer))
      for (const peer of Object.keys(state.members)) {
        if (!there.has(peer)) changes.push(...drop('members', peer))
      }
      for (const [peer, bytes] of served) if (state.served[peer] !== bytes) changes.push(...put('served', peer, bytes))
      if (!isSame(state.protocols, protocols)) changes.push(set('protocols', protocols))
      return changes
    },
  }
}

const isCode = (code: string): code is RejectionCode => Object.hasOwn(REJECTIONS, code)

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
