// A peer's dashboard without a peer: whatever events a test tells it, and a small stand-in for what it asks the peer for.
import type { Test } from 'tap'
import { createDashboard, type Dashboard, type Shown } from '../../node/dashboard/dashboard.ts'
import type { About } from '../../node/dashboard/state.ts'
import type { PeerEvent } from '../../node/events.ts'
import type { MemberStatus } from '../../node/peer/status.ts'
import { REJECTIONS } from '../../protocol/rejections.ts'

export const SELF = '12D3KooWself0000'
export const peerName = (i: number): string => `12D3KooWpeer${String(i).padStart(4, '0')}`

export const about: About = {
  ...{ peer: SELF, name: 'a test', task: 'ab'.repeat(32), dir: 'somewhere', startedAt: 0 },
  model: [['model', 'softmax']],
  rules: [['aggregation', 'trimmed-mean']],
  data: [['source', '<b>not bold</b>']],
  reasons: Object.fromEntries(Object.entries(REJECTIONS).map(([code, { why, fault }]) => [code, { why, fault }])),
}

export const member = (peer: string, round = 1): MemberStatus => ({
  ...{ peer, role: 'peer', member: true, connected: true, present: true, round, shutOut: false },
})

export async function dashboard(t: Test, options: { dir?: string; metricsPort?: number } = {}) {
  const warnings: string[] = []
  const onWarning = ({ message }: Error) => void warnings.push(message)
  let now = 1_700_000_000_000
  const made: Dashboard = await createDashboard({ dir: t.testdirName, port: 0, wall: () => now++, onWarning, ...options })
  t.teardown(() => made.stop())
  const { origin, hash } = new URL(made.link!)
  const token = hash.slice(1)
  const members = [member(peerName(1)), member(peerName(2))]
  const shown: Shown = {
    about,
    members: () => members,
    connections: () => 2,
    protocols: () => ({ gossip: { received: 10, sent: 20 } }),
    served: new Map([[peerName(1), 300]]),
    exported: () => ({ name: 'a-test.onnx', bytes: Uint8Array.of(1, 2, 3) }),
  }
  const ask = (path: string, { headers, ...init }: RequestInit = {}) =>
    fetch(origin + path, { ...init, headers: { authorization: `Bearer ${token}`, ...(headers as Record<string, string>) } })
  return { ...made, origin, token, shown, members, warnings, ask }
}

/** A round as a peer tells it, with one attacker among the others. */
export function roundEvents(round: number, others: number): PeerEvent[] {
  const wave = Math.sin(round / 50) * 0.01
  const accuracy = 0.9 - 0.8 / (round + 1) + wave
  const weight = 1 / others
  const inputs = Array.from({ length: others }, (_, i) => ({
    ...{ author: peerName(i), round, weight: i === 0 ? 0 : weight, distance: i === 0 ? 40 : 1 + (i % 10) / 10, kept: i !== 0 },
    ...{ why: i === 0 ? 'trimmed' : 'averaged', accuracy: accuracy - (i % 10) / 200 },
  }))
  return [
    { type: 'phase', round, phase: 'training' },
    { type: 'trained', round, steps: 20, samples: 640, loss: 2 / round, seconds: 0.5 },
    { type: 'phase', round, phase: 'gathering', waitingFor: '2 of 5 models', untilSeconds: 12 },
    { type: 'received', round, author: peerName(1), bytes: 1000, from: [peerName(2)] },
    {
      ...{ type: 'aggregated', round, rule: 'trimmed-mean', f: 1, inputs: [own(round, weight), ...inputs] },
      ...{ accepted: others, trimmed: 1, rejected: 0, seconds: 0.01 },
    },
    { type: 'evaluated', round, split: 'validation', samples: 100, loss: 1 / round, accuracy },
  ]
}

const own = (round: number, weight: number) => ({ author: SELF, round, weight, distance: 0, kept: true, why: 'averaged' })
