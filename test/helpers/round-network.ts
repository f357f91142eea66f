// A network of round machines alone, in virtual time: messages are delayed, lost, repeated and reordered as told, and repaired
// now and then by an exchange of newest records, as real peers do. What no round may ever do is checked at every step.

import { createPrng } from '../../protocol/prng.ts'
import { ARRIVALS_KEPT } from '../../protocol/round/deadline.ts'
import { initialState, reduce } from '../../protocol/round/reducer.ts'
import type { RoundConfig, RoundEffect, RoundEvent, RoundState, Step } from '../../protocol/round/state.ts'
import { isCollecting, waitingFor } from '../../protocol/round/view.ts'
import { byzantineBound } from '../../protocol/sampling.ts'
import type { Update } from '../../protocol/update.ts'

export interface Weather {
  seed: number
  /** Share of gossip deliveries lost, and repeated. */
  loss: number
  repeat: number
  /** Share of pulls that fail. */
  failure?: number
  /** Longest delay of a message, and longest training, in milliseconds; a slow peer's is ten times that. */
  delay: number
  training: number
}

export interface Node {
  id: string
  state: RoundState
  config: RoundConfig
  /** What survives a crash: the record signed last, and the checkpoint. */
  newest?: Update
  checkpoint?: { round: number; stage: 'trained' | 'aggregated' }
  /** Rounds signed, each for the first time. */
  published: number[]
  aggregated: { round: number; f: number; inputs: readonly Update[] }[]
  jumps: { from: number; to: number }[]
  synced: { from: number; round: number; inputs: readonly Update[] }[]
  finished?: string
  down: boolean
  /** Counts starts: what was under way before a crash is lost. */
  life: number
  wake?: number
  /** Work of its own that is under way. */
  work?: RoundEffect['type']
  /** The round last begun to train, and runs ended. */
  training: number
  trainings: number
  evicted: Set<string>
}

export function updateOf(author: string, round: number, mark = '', change: Partial<Update> = {}): Update {
  const signed = new TextEncoder().encode(`${author} ${round} ${mark}`)
  return {
    author,
    round,
    final: false,
    payload: { hash: new Uint8Array(32), length: 16, codec: 'float32' },
    envelope: signed,
    signed,
    ...change,
  }
}

export function configOf(self: string, peers: number, change: Partial<RoundConfig> = {}): RoundConfig {
  return {
    self,
    minPeers: peers,
    staleness: 2,
    gatherMinMillis: 500,
    gatherMaxMillis: 10_000,
    absentAfterMillis: 3_600_000,
    byzantine: (n) => byzantineBound(n, 2000),
    faults: (n) => byzantineBound(n, 2000),
    minInputs: (f) => 2 * f + 1,
    sampleOrder: (members) => [...members].sort(),
    fullView: 30,
    fullViewMost: 36,
    syncLag: 10,
    futureRounds: 64,
    maxMembers: 100,
    stop: { rounds: 6 },
    ...change,
  }
}

export interface RoundNetwork {
  nodes: Node[]
  now(): number
  /** Runs until `until` holds or virtual time is up; true where it came to hold. */
  run(until: () => boolean, millis: number): boolean
  /** Feeds an event to one node at once. */
  feed(node: Node, event: RoundEvent): RoundState
  /** Announces an update to everyone, delayed and lost like any other. */
  announce(update: Update): void
  /** Cuts a node off from the rest (and stops its work); back again with `false`. */
  setDown(node: Node, down: boolean): void
  /** Kills a node; after `millis` it starts again with what it had on disk. */
  crash(node: Node, millis: number): void
  /** Takes the membership of `id` away: each member learns of it in its own time. */
  evict(id: string): void
  /** Runs `act` after `millis`. */
  later(millis: number, act: () => void): void
  /** What must never happen and did, in words. */
  violations: string[]
}

interface Options {
  change?: Partial<RoundConfig>
  slow?: readonly string[]
  /** Never started. */
  silent?: readonly string[]
  /** Announce and never deliver. */
  withholding?: readonly string[]
  /** Sign two updates for each round. */
  equivocating?: readonly string[]
}

export function roundNetwork(ids: readonly string[], weather: Weather, options: Options = {}): RoundNetwork {
  const prng = createPrng(weather.seed)
  const queue: { at: number; act: () => void }[] = []
  const violations: string[] = []
  let now = 0
  /** The furthest round that an honest node has signed. */
  let furthest = 0
  const delay = () => prng.next() * weather.delay
  const nodes: Node[] = ids.map((id) => ({
    id,
    state: initialState(),
    config: configOf(id, ids.length, options.change),
    published: [],
    aggregated: [],
    jumps: [],
    synced: [],
    down: options.silent?.includes(id) ?? false,
    life: 0,
    training: 0,
    trainings: 0,
    evicted: new Set(),
  }))

  /** Kept in order of time; of equal times, first come. */
  function later(millis: number, act: () => void): void {
    const at = now + millis
    let [low, high] = [0, queue.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (queue[middle]!.at > at) low = middle + 1
      else high = middle
    }
    queue.splice(low, 0, { at, act })
  }

  function feed(node: Node, event: RoundEvent): RoundState {
    const before = node.state
    const step = reduce(before, event, node.config)
    node.state = step.state
    if (event.type === 'evict') for (const id of event.peers) node.evicted.add(id)
    for (const effect of step.effects) carryOut(node, effect)
    check(node, before, step, event)
    return node.state
  }

  /** What holds after every step of every machine. */
  function check(node: Node, before: RoundState, { state, effects }: Step, event: RoundEvent): void {
    const { config } = node
    const wrong = (what: string) => violations.push(`${node.id} at ${Math.round(now)}, ${event.type}: ${what}`)
    if (state.round > (config.stop.rounds ?? state.round)) wrong(`takes part in round ${state.round} of ${config.stop.rounds}`)
    if (state.round < before.round) wrong(`round ${before.round} became ${state.round}`)
    if (state.round > furthest + 1 && !options.equivocating?.includes(node.id))
      wrong(`moved to round ${state.round}; nobody honest is beyond ${furthest}`)
    if (state.round === before.round && state.f < before.f && now - before.announcedAt <= config.absentAfterMillis) wrong('f fell')
    if (state.members.size > config.maxMembers || state.members.has(node.id)) wrong('members')
    if (state.shutOut.size > config.maxMembers || state.arrivals.length > ARRIVALS_KEPT) wrong('something grows without bound')
    const drawn = [...state.attempted, ...state.reserve]
    if (new Set(drawn).size !== drawn.length || drawn.some((id) => node.evicted.has(id))) wrong(`drawn are ${drawn}`)
    const atWork = state.phase === 'training' || isCollecting(state)
    const small = state.sampling && state.attempted.length < Math.min(config.fullView, drawn.length)
    // Stand-ins for the evicted come with the wake that follows at once.
    if (small && atWork && event.type !== 'evict') wrong('the sample is too small')
    if (node.evicted.size > 0 && [...state.members.keys()].some((id) => node.evicted.has(id))) wrong('an evicted one is a member')
    for (const effect of effects) {
      if (effect.type !== 'aggregate' && effect.type !== 'sync') continue
      const { inputs, f, round } = effect
      const authors = inputs.map(({ author }) => author)
      const own = effect.type === 'aggregate' ? 1 : 0
      if (f !== state.f || inputs.length + own < config.minInputs(f)) wrong(`${inputs.length} inputs with f = ${f}`)
      if (new Set(authors).size !== authors.length || authors.includes(node.id)) wrong(`inputs of ${authors}`)
      if (authors.some((id) => state.shutOut.has(id) || !state.attempted.includes(id))) wrong(`inputs of ${authors}`)
      // Whoever has finished tells the result of the last round in a record of the next.
      const newest = (update: Update) => (update.final && round === config.stop.rounds ? round + 1 : round)
      if (inputs.some((u) => u.round > newest(u) || (!u.final && u.round < round - config.staleness))) wrong('inputs out of the window')
    }
    const { phase } = state
    if (isCollecting(state) && node.wake === undefined) wrong(`${phase} without a wake`)
    if ((phase === 'waiting' || isCollecting(state)) && waitingFor(state, config, now) === undefined) wrong(`${phase} in silence`)
    if ((phase === 'training' || phase === 'aggregating') && node.work === undefined) wrong(`${phase}, and nothing is under way`)
  }

  const deliver = (node: Node, event: (now: number) => RoundEvent, millis: number) => {
    const { life } = node
    later(millis, () => {
      if (!node.down && node.life === life) feed(node, event(now))
    })
  }

  /** A node's own work; its result is lost where the node is down by then. */
  function work(node: Node, type: RoundEffect['type'], millis: number, done: () => RoundEvent): void {
    const { life } = node
    const token = {}
    current.set(node, token)
    node.work = type
    later(millis, () => {
      if (node.life !== life || current.get(node) !== token) return
      if (node.down) return work(node, type, 1000, done)
      delete node.work
      feed(node, done())
    })
  }
  const current = new Map<Node, object>()

  function announce(update: Update): void {
    for (const other of nodes) if (other.id !== update.author) send(update, other)
  }

  function send(update: Update, to: Node): void {
    const copies = prng.next() < weather.loss ? 0 : prng.next() < weather.repeat ? 2 : 1
    for (let i = 0; i < copies; i++) tell(update, to)
  }

  const tell = (update: Update, to: Node) =>
    later(delay(), () => {
      // Who is no member is not listened to.
      if (!to.down && !to.evicted.has(update.author)) feed(to, { type: 'record', update, now })
    })

  function sign(node: Node, round: number, final = false): void {
    if (round <= (node.newest?.round ?? 0)) return
    node.newest = updateOf(node.id, round, '', { final })
    node.published.push(round)
    if (!options.equivocating?.includes(node.id)) furthest = Math.max(furthest, round)
  }

  function publish(node: Node): void {
    if (node.newest === undefined) return
    for (const [i, other] of nodes.entries()) {
      if (other === node) continue
      if (i % 3 > 0 || !options.equivocating?.includes(node.id)) send(node.newest, other)
      if (i % 3 < 2 && options.equivocating?.includes(node.id)) send(updateOf(node.id, node.newest.round, 'other'), other)
    }
  }

  function carryOut(node: Node, effect: RoundEffect): void {
    switch (effect.type) {
      case 'train': {
        const { round } = effect
        if (round <= node.training) violations.push(`${node.id} trains round ${round} after ${node.training}`)
        node.training = round
        const slow = options.slow?.includes(node.id) ? 10 : 1
        work(node, 'train', slow * weather.training * (0.5 + prng.next() / 2), () => {
          node.trainings++
          return { type: 'trained', round, now }
        })
        break
      }
      case 'cancel-training':
        current.delete(node)
        delete node.work
        break
      case 'announce':
        node.checkpoint = { round: effect.round, stage: 'trained' }
        sign(node, effect.round)
        if (node.newest?.round !== effect.round) violations.push(`${node.id} signs round ${effect.round} after ${node.newest?.round}`)
        publish(node)
        break
      case 'publish':
        publish(node)
        break
      case 'pull': {
        const { update } = effect
        const fails = options.withholding?.includes(update.author) || prng.next() < (weather.failure ?? 0)
        deliver(node, (at) => ({ type: 'payload', update, ok: !fails, now: at }), delay())
        break
      }
      case 'aggregate':
        node.aggregated.push(effect)
        work(node, 'aggregate', 20, () => {
          node.checkpoint = { round: effect.round, stage: 'aggregated' }
          return { type: 'aggregated', round: effect.round, now }
        })
        break
      case 'sync':
        node.synced.push(effect)
        work(node, 'sync', 20, () => {
          const adopted = prng.next() < 0.7
          if (adopted) node.checkpoint = { round: effect.round, stage: 'aggregated' }
          return { type: 'synced', round: effect.round, adopted, now }
        })
        break
      case 'wake':
        wake(node, Math.max(now, effect.at))
        break
      case 'equivocation': {
        const { first, second } = effect
        for (const other of nodes) if (other !== node) deliver(other, () => ({ type: 'evidence', updates: [first, second] }), delay())
        break
      }
      case 'jumped':
        node.jumps.push(effect)
        break
      case 'finish':
        node.finished = effect.reason
        sign(node, effect.round + 1, true)
        publish(node)
        break
    }
  }

  /** The earliest wake is enough, as in the loop. */
  function wake(node: Node, at: number): void {
    if (node.wake !== undefined && node.wake <= at) return
    node.wake = at
    const { life } = node
    later(at - now, () => {
      if (node.wake !== at || node.life !== life) return
      delete node.wake
      if (node.down) wake(node, now + 1000)
      else feed(node, { type: 'wake', now })
    })
  }

  /** Every three seconds each node asks one other for the newest records it knows. */
  function exchange(node: Node): void {
    const other = nodes[prng.int(nodes.length)]!
    if (!node.down && !other.down && other !== node) {
      const known = [...other.state.members.values()].flatMap((member) => member.future ?? member.latest ?? [])
      for (const update of [...known, ...(other.newest ? [other.newest] : [])]) tell(update, node)
    }
    later(3000, () => exchange(node))
  }

  const meet = (node: Node, other: Node) =>
    deliver(node, (at) => ({ type: node.evicted.has(other.id) ? 'peer-gone' : 'peer', peer: other.id, now: at }), delay())

  for (const node of nodes) {
    deliver(node, (at) => ({ type: 'start', now: at }), delay())
    for (const other of nodes) if (other !== node && !other.down) meet(node, other)
    later(3000, () => exchange(node))
  }

  function setDown(node: Node, down: boolean): void {
    node.down = down
    for (const other of nodes) {
      if (other === node || other.down) continue
      if (down) feed(other, { type: 'peer-gone', peer: node.id, now })
      else {
        meet(other, node)
        meet(node, other)
      }
    }
  }

  return {
    nodes,
    now: () => now,
    violations,
    feed,
    announce,
    later,
    setDown,
    crash(node, millis) {
      setDown(node, true)
      node.life++
      node.state = initialState()
      node.training = 0
      delete node.work
      delete node.wake
      current.delete(node)
      later(millis, () => {
        setDown(node, false)
        const { newest, checkpoint } = node
        const resume = newest?.final
          ? ({ round: newest.round - 1, stage: 'final' } as const)
          : newest !== undefined && newest.round > (checkpoint?.round ?? 0)
            ? ({ round: newest.round, stage: 'trained' } as const)
            : checkpoint
        feed(node, { type: 'start', now, ...(resume && { resume }) })
      })
    },
    evict(id) {
      for (const node of nodes) if (node.id !== id) deliver(node, () => ({ type: 'evict', peers: [id] }), delay())
    },
    run(until, millis) {
      const end = now + millis
      while (!until()) {
        const due = queue.pop()
        if (due === undefined || due.at > end) return false
        now = due.at
        due.act()
      }
      return true
    },
  }
}
