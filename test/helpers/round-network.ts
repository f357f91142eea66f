// A network of round machines alone, in virtual time: messages are delayed, lost, repeated and reordered as told, and repaired
// now and then by an exchange of newest records, as real peers do.
import { createPrng } from '../../protocol/prng.ts'
import { initialState, reduce } from '../../protocol/round/reducer.ts'
import type { RoundConfig, RoundEffect, RoundEvent, RoundState } from '../../protocol/round/state.ts'
import { byzantineBound } from '../../protocol/sampling.ts'
import type { Update } from '../../protocol/update.ts'

export interface Weather {
  seed: number
  /** Share of gossip deliveries lost, and repeated. */
  loss: number
  repeat: number
  /** Longest delay of a message, and longest training, in milliseconds; a slow peer's is ten times that. */
  delay: number
  training: number
}

export interface Node {
  id: string
  state: RoundState
  config: RoundConfig
  newest?: Update
  published: number[]
  aggregated: { round: number; f: number; inputs: readonly Update[] }[]
  jumps: { from: number; to: number }[]
  finished?: string
  down: boolean
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
  /** Announces a forged update to everyone, delayed and lost like any other. */
  announce(update: Update): void
  /** Cuts nodes off from the rest (and stops their work); back again with `false`. */
  setDown(node: Node, down: boolean): void
}

export function roundNetwork(
  ids: readonly string[],
  weather: Weather,
  options: { change?: Partial<RoundConfig>; slow?: readonly string[]; silent?: readonly string[] } = {},
): RoundNetwork {
  const prng = createPrng(weather.seed)
  const queue: { at: number; act: () => void }[] = []
  let now = 0
  const later = (millis: number, act: () => void) => queue.push({ at: now + millis, act })
  const delay = () => prng.next() * weather.delay
  const nodes: Node[] = ids.map((id) => ({
    id,
    state: initialState(),
    config: configOf(id, ids.length, options.change),
    published: [],
    aggregated: [],
    jumps: [],
    down: options.silent?.includes(id) ?? false,
  }))

  function feed(node: Node, event: RoundEvent): RoundState {
    const step = reduce(node.state, event, node.config)
    node.state = step.state
    for (const effect of step.effects) carryOut(node, effect)
    return node.state
  }

  const deliver = (node: Node, event: (now: number) => RoundEvent, millis: number) =>
    later(millis, () => {
      if (!node.down) feed(node, event(now))
    })

  function announce(update: Update): void {
    for (const other of nodes) {
      if (other.id === update.author) continue
      const copies = prng.next() < weather.loss ? 0 : prng.next() < weather.repeat ? 2 : 1
      for (let i = 0; i < copies; i++) deliver(other, (at) => ({ type: 'record', update, now: at }), delay())
    }
  }

  function carryOut(node: Node, effect: RoundEffect): void {
    switch (effect.type) {
      case 'train': {
        const { round } = effect
        const slow = options.slow?.includes(node.id) ? 10 : 1
        deliver(
          node,
          (at) => {
            if (node.state.phase === 'training' && node.state.round === round) node.newest = updateOf(node.id, round)
            return { type: 'trained', round, now: at }
          },
          slow * weather.training * (0.5 + prng.next() / 2),
        )
        break
      }
      case 'publish':
        node.published.push(effect.round)
        if (node.newest) announce(node.newest)
        break
      case 'pull':
        deliver(node, (at) => ({ type: 'payload', update: effect.update, ok: true, now: at }), delay())
        break
      case 'aggregate':
        node.aggregated.push(effect)
        deliver(node, (at) => ({ type: 'aggregated', round: effect.round, now: at }), 20)
        break
      case 'wake':
        deliver(node, (at) => ({ type: 'wake', now: at }), Math.max(0, effect.at - now))
        break
      case 'jumped':
        node.jumps.push(effect)
        break
      case 'finish':
        node.finished = effect.reason
        node.newest = updateOf(node.id, effect.round + 1, 'final', { final: true })
        announce(node.newest)
        break
    }
  }

  /** Every three seconds each node asks one other for the newest records it knows. */
  function exchange(node: Node): void {
    const other = nodes[prng.int(nodes.length)]!
    if (!node.down && !other.down && other !== node) {
      const known = [...other.state.members.values()].flatMap((member) => member.future ?? member.latest ?? [])
      for (const update of [...known, ...(other.newest ? [other.newest] : [])])
        deliver(node, (at) => ({ type: 'record', update, now: at }), delay())
    }
    later(3000, () => exchange(node))
  }

  for (const node of nodes) {
    deliver(node, (at) => ({ type: 'start', now: at }), delay())
    for (const other of nodes) {
      if (other !== node && !other.down) deliver(node, (at) => ({ type: 'peer', peer: other.id, now: at }), delay())
    }
    later(3000, () => exchange(node))
  }

  return {
    nodes,
    now: () => now,
    feed,
    announce,
    setDown(node, down) {
      node.down = down
      for (const other of nodes) {
        if (other === node || other.down) continue
        const type = down ? 'peer-gone' : 'peer'
        feed(other, { type, peer: node.id, now })
        if (!down) feed(node, { type, peer: other.id, now })
      }
      if (!down) feed(node, { type: 'wake', now })
    },
    run(until, millis) {
      const end = now + millis
      while (!until()) {
        let next = 0
        for (let i = 1; i < queue.length; i++) if (queue[i]!.at < queue[next]!.at) next = i
        const [due] = queue.splice(next, 1)
        if (due === undefined || due.at > end) return false
        now = due.at
        due.act()
      }
      return true
    },
  }
}
