// One whole network on this machine: real `murmur` processes that meet through one bootstrap address, watched through their JSON lines.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import type { PeerEvent } from '../events.ts'
import { loadOrCreateIdentity } from '../store/identity.ts'

/** Local work of a round: of batches of 8 to 32 and 50 to 300 steps, these reach 98 % of MNIST's test set in the least time. */
const TRAINING = { steps: 250, batchSize: 12, lr: 0.04 }
/** How long a stopped peer may take before it is ended by force. */
const STOP_MILLIS = 4000

export interface NetworkPlan {
  dir: string
  peers: number
  attackers: number
  attack: string
  rule: string
  rounds: number
  /** Rounds over which the learning rate falls; the same for two networks that are compared. */
  scheduleRounds: number
  targetAccuracy?: number
  alpha: number
  seed: number
  /** Share of members that the task says may be malicious. */
  byzantineShare: number
}

/** What is known of one process from its events. */
export interface PeerView {
  index: number
  attacker: boolean
  id: PeerId
  dir: string
  last: { [T in PeerEvent['type']]?: Extract<PeerEvent, { type: T }> }
  influences: number[]
  testAccuracy?: number | undefined
  received: number
  peakRss: number
  loopP99: number
  rounds: number
}

export interface NetworkResult {
  peers: PeerView[]
  /** From launch until the last honest peer had its final model; reading the test set comes after. */
  seconds: number
}

export interface NetworkWatch {
  onStart(peers: readonly PeerView[]): void
  onEvent(peer: PeerView, event: PeerEvent): void
}

/** Runs a network from launch until every honest peer has finished and read the test set, then stops it. @throws where a process fails */
export async function runNetwork(plan: NetworkPlan, watch: NetworkWatch, signal: AbortSignal): Promise<NetworkResult> {
  const peers = await Promise.all(Array.from({ length: plan.peers }, (_, i) => prepare(plan, i)))
  const attackerIds = peers.filter((peer) => peer.attacker).map((peer) => peer.id)
  const children: ChildProcess[] = []
  const began = performance.now()
  let seconds = 0
  watch.onStart(peers)
  try {
    const finished = peers.map((peer) => {
      const child = spawnPeer(argumentsFor(plan, peer, attackerIds), { MURMUR_JOIN: join(plan.dir, 'join') })
      children.push(child)
      return follow(child, peer, watch, () => {
        if (!peer.attacker) seconds = Math.max(seconds, (performance.now() - began) / 1000)
      })
    })
    const honest = finished.filter((_, i) => !peers[i]!.attacker)
    // An attacker that fails is noticed too, but is not waited for.
    const attackersFail = finished.filter((_, i) => peers[i]!.attacker).map((done) => done.then(() => new Promise<never>(() => {})))
    const interrupted = new Promise<never>((_, failed) => {
      signal.addEventListener('abort', () => failed(new MurmurError('cancelled', 'Interrupted.')), { once: true })
    })
    await Promise.race([Promise.all(honest), interrupted, ...attackersFail])
    return { peers, seconds }
  } finally {
    await Promise.all(children.map(stopChild))
  }
}

async function prepare(plan: NetworkPlan, i: number): Promise<PeerView> {
  const dir = join(plan.dir, `peer-${i + 1}`)
  await mkdir(dir, { recursive: true })
  const { signer } = await loadOrCreateIdentity(dir)
  const attacker = i >= plan.peers - plan.attackers
  return { index: i + 1, attacker, id: signer.peerId, dir, last: {}, influences: [], received: 0, peakRss: 0, loopP99: 0, rounds: 0 }
}

function argumentsFor(plan: NetworkPlan, peer: PeerView, attackerIds: readonly PeerId[]): string[] {
  const local = ['--json', '--data', 'mnist', '--shard', `${peer.index}/${plan.peers}`, '--alpha', plan.alpha, '--data-seed', plan.seed]
  local.push('--listen', '/ip4/127.0.0.1/tcp/0')
  if (peer.attacker) local.push('--misbehave', plan.attack)
  else {
    local.push('--test')
    if (attackerIds.length > 0) local.push('--probe', attackerIds.join(','))
  }
  if (peer.index > 1) return ['join', '--dir', peer.dir, '--yes', ...local].map(String)
  const { steps, batchSize, lr } = TRAINING
  const agreed = ['--steps', steps, '--batch-size', batchSize, '--lr', lr, '--schedule', 'cosine']
  agreed.push('--schedule-steps', steps * plan.scheduleRounds)
  agreed.push('--name', 'demo', '--model', 'mnist-cnn', '--rule', plan.rule, '--min-peers', plan.peers, '--rounds', plan.rounds)
  agreed.push(
    '--byzantine-share',
    plan.byzantineShare,
    '--seed',
    plan.seed,
    '--gather-min-seconds',
    1,
    '--gather-max-seconds',
    10,
    '--test-task',
  )
  if (plan.targetAccuracy !== undefined) agreed.push('--target-accuracy', plan.targetAccuracy)
  return ['start', peer.dir, '--join-file', join(plan.dir, 'join'), ...agreed, ...local].map(String)
}

function spawnPeer(args: string[], env: Record<string, string>): ChildProcess {
  const entry = fileURLToPath(new URL('../murmur.mjs', import.meta.url))
  // Apart from our terminal's group: Ctrl-C reaches us, and we stop them in order.
  return spawn(process.execPath, [entry, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    detached: true,
  })
}

/** Resolves once the peer has finished and read the test set where it is to; rejects with its own words where it ends before. */
function follow(child: ChildProcess, peer: PeerView, watch: NetworkWatch, onFinished: () => void): Promise<void> {
  return new Promise((done, failed) => {
    let complaint = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-2000)
    })
    createInterface({ input: child.stdout! }).on('line', (line) => {
      let event: PeerEvent
      try {
        event = JSON.parse(line) as PeerEvent
      } catch {
        return
      }
      note(peer, event)
      watch.onEvent(peer, event)
      if (event.type === 'finished') onFinished()
      if (peer.last.finished && (peer.attacker || peer.testAccuracy !== undefined)) done()
    })
    child.once('error', failed)
    child.once('exit', (code, exitSignal) => {
      const why = complaint.trim().split('\n').at(-1) ?? ''
      failed(
        new MurmurError('worker-failed', `Peer ${peer.index} ended early (${exitSignal ?? `code ${code}`})${why === '' ? '' : `: ${why}`}`),
      )
    })
  })
}

/** Keeps what the table and the summary need. */
function note(peer: PeerView, event: PeerEvent): void {
  Object.assign(peer.last, { [event.type]: event })
  if (event.type === 'aggregated') {
    peer.rounds = event.round
    if (event.influence !== undefined) peer.influences.push(event.influence)
  } else if (event.type === 'evaluated' && event.split === 'test') peer.testAccuracy = event.accuracy
  else if (event.type === 'traffic') peer.received = event.received
  else if (event.type === 'health') {
    peer.peakRss = Math.max(peer.peakRss, event.rssBytes)
    peer.loopP99 = event.eventLoopP99Millis
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise<void>((done) => {
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_MILLIS)
    child.once('exit', () => {
      clearTimeout(force)
      done()
    })
    child.kill('SIGTERM')
  })
}
