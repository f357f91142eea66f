// A real peer from a directory: lock, identity, task, libp2p, what it learns with; put together, started, and stopped in reverse.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type ErrorCode, isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { NO_PROOF } from '../../protocol/join.ts'
import type { PayloadRef } from '../../protocol/payload.ts'
import type { Task } from '../../protocol/task.ts'
import { aboutOf } from '../dashboard/about.ts'
import { countServed, exportName, openDashboard } from '../dashboard/open.ts'
import type { PeerEvent } from '../events.ts'
import { createLibp2pNetwork } from '../host/libp2p-network.ts'
import { createPayloadExchange } from '../host/payload-exchange.ts'
import { misbehaving } from '../lab/misbehaviour.ts'
import type { LocalOptions } from '../options.ts'
import type { Network } from '../ports.ts'
import { sha256 as hash } from '../sha256.ts'
import { diskError, writeDurable } from '../store/files.ts'
import { type Identity, loadOrCreateIdentity } from '../store/identity.ts'
import { lockDirectory } from '../store/lock.ts'
import { openStore } from '../store/store.ts'
import { createVerifiers } from '../store/verify.ts'
import { createAdmission } from './admission.ts'
import { becomeMember, proofOf } from './become-member.ts'
import { systemClock } from './clock.ts'
import { type Methods, serveControl } from './control.ts'
import { makeDirectory, writeTask } from './directory.ts'
import { watchHealth } from './health.ts'
import { introduceTo } from './introduction.ts'
import { createJoinLines, keptInvite } from './join-lines.ts'
import type { JoinTarget } from './join-target.ts'
import { openLog } from './log.ts'
import { createMemberBook } from './member-book.ts'
import { controlMethods } from './methods.ts'
import { obtainModel, obtainTask, type TaskModel, type TaskSource } from './obtain-task.ts'
import type { PeerParts } from './parts.ts'
import { createPeer, type Peer } from './peer.ts'
import { prepareLearning } from './prepare-learning.ts'
import { founderOf } from './signing.ts'
import { collectGarbage } from './tidy.ts'
import { keepUp } from './upkeep.ts'

export interface LaunchOptions extends TaskSource {
  local: LocalOptions
  /** Every event, from before the peer is ready. */
  onEvent: (event: PeerEvent) => void
}

export interface Running {
  peer: Peer
  task: Task
  joinLine: string
  dir: string
  addresses: string[]
  stop(): Promise<void>
}

/** Between two lines about a fetch. */
const PROGRESS_MILLIS = 3000

const random = { bytes: (count: number) => new Uint8Array(randomBytes(count)) }

/** @throws MurmurError with one sentence for a person; whatever was opened until then is closed again */
export async function launch(given: LaunchOptions): Promise<Running> {
  const { local, signal } = given
  const told = createTold()
  /** What commands can ask for; until the peer is up, what it is doing. */
  let control: Methods | string = 'reading its directory'
  const onProgress = (text: string) => {
    if (typeof control === 'string') control = text
    given.onProgress(text)
  }
  const options = { ...given, onProgress }
  const onEvent = told.emit
  told.subscribe(options.onEvent)
  const warn = (code: ErrorCode) => (message: string) => onEvent({ type: 'warning', code, message })
  const tell = ({ code, message }: MurmurError) => warn(code)(message)
  const undo: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step()
  }
  try {
    const dir = await makeDirectory(options.dir)
    undo.push(await lockDirectory(dir))
    undo.push(await serveControl(dir, { methods: () => control, subscribe: told.subscribe }))
    const dashboard = await openDashboard(dir, local, tell)
    undo.push(async () => dashboard?.stop())
    if (dashboard !== undefined) told.subscribe(dashboard.note)
    const { served, onServed } = countServed()
    const identity = await loadOrCreateIdentity(dir)
    const { signer } = identity
    const { verify, verifyElsewhere } = createVerifiers()
    const network = await startNetwork(identity, local, warn('port-not-opened'))
    undo.push(() => network.stop())
    const target: Partial<JoinTarget> = options.join ?? {}
    let isOut = (_: PeerId): boolean => false
    const { reached, contact } = connectAll(network, [...new Set([...(local.bootstrap ?? []), ...(target.addresses ?? [])])], {
      warn: warn('bootstrap-unreachable'),
      isWanted: (peer) => !isOut(peer),
      signal,
    })
    const proof = target.task === undefined ? NO_PROOF : proofOf(target, Buffer.from(target.task, 'hex'), signer, random)
    const { task, isNew, objects } = await obtainTask({ ...options, dir }, proof, reached, contact, { network, random, hash, verify })
    checkExperiments(local, task)
    const store = await openStore(dir, { layout: task.layout, onWarning: warn('disk-failed') })
    undo.push(() => store.close())
    for (const object of objects) await store.putObject(object.hash, object.bytes)
    let peer: Peer | undefined
    const members = await createMemberBook({ task, store, verify, clock: systemClock, onWarning: tell })
    undo.push(() => members.close())
    isOut = (peer) => members.revoked().has(peer)
    const founder = await founderOf(dir, task, signer)
    const admission = await createAdmission({
      ...{ network, task, book: members, signer, founder, store, clock: systemClock, random, verify },
      round: () => peer?.status().round ?? 0,
      tell: (certificate) => peer?.tell(certificate),
    })
    const hasFounder = founder !== undefined && members.roleOf(signer.peerId) !== 'admin' && !members.revoked().has(signer.peerId)
    if (hasFounder) await admission.admit(signer.publicKey, 'admin')
    await becomeMember(proof, reached, contact, { network, task, book: members, signal, onProgress })
    admission.serve()
    network.admit(admission.gate)
    // Until the peer sees to it: who has become a member meanwhile is answered, and knows us.
    const stopAdmitting = members.subscribe(() => network.admit(admission.gate))
    undo.push(async () => stopAdmitting())
    const stopIntroducing = introduceTo({ network, task, book: members, clock: systemClock, named: reached })
    undo.push(async () => stopIntroducing())
    const exchange = createPayloadExchange({
      ...{ network, store, task: task.id, hash, clock: systemClock, onServed },
      onBadChunk(from) {
        network.blame(from)
        const event: PeerEvent = { type: 'rejected', code: 'bad-chunk', from }
        store.append(event, systemClock.wall())
        told.emit(event)
      },
    })
    const model = await obtainModel(
      task,
      store,
      (ref) => exchange.pull(ref, () => reached, { signal, onProgress: progressOf(ref, onProgress) }),
      onProgress,
    )

    const learning = await prepareLearning({ task, graph: model.graph, local, peerId: signer.peerId, isNew, onProgress, signal })
    undo.push(() => learning.stop())
    // Last, so that a directory with a task has all the rest, and a mistake until here can be mended by the same command.
    if (isNew) await writeTask(dir, task.envelope)
    const lines = createJoinLines({ network, task, hash, printed: admission.printed, known: () => peer?.knownAddresses() ?? [] })
    const parts: PeerParts = {
      ...{ task, initial: model.initial, network, members, exchange, store, clock: systemClock, random },
      ...{ signer, verify, verifyElsewhere, hash, joinLine: lines.printed },
      ...learning.parts,
      health: watchHealth(),
      twinCheck: local.twinCheck,
      onFinish: (params) => writeModel(dir, model, params),
      ...(local.probe !== undefined && { probe: local.probe }),
    }
    const running = createPeer(local.misbehave === undefined ? parts : misbehaving(parts, local.misbehave))
    peer = running
    peer.subscribe(told.emit)
    const log = openLog(dir)
    // The line may let its bearer in, and the link too: they are no business of whoever reads the log.
    told.subscribe((event) => log('joinLine' in event ? { ...event, joinLine: '', ...('dashboard' in event && { dashboard: '' }) } : event))
    undo.push(() => running.stop())
    await peer.start()
    stopAdmitting()
    const link = dashboard?.link === undefined ? {} : { dashboard: dashboard.link }
    control = {
      ...controlMethods({ peer, admission, book: members, task, verify, lines }),
      status: () => ({ ...running.status(), ...link }),
    }
    undo.push(async () => {
      control = 'it is stopping'
    })

    const note = await keptInvite(admission, members, signer.peerId, systemClock.wall()).catch((error: unknown) => {
      if (!isMurmurError(error)) throw error
      tell(error)
      return undefined
    })
    const writeLine = async () => {
      const line = lines.printed()
      if (local.joinFile !== undefined && line !== '') await writeDurable(local.joinFile, Buffer.from(`${line}\n`), { mode: 0o600 })
      return line
    }
    const joinLine = await writeLine()
    told.subscribe(({ type }) => {
      if (type === 'addresses') writeLine().catch((error: unknown) => tell(diskError(local.joinFile ?? '', 'written', error)))
    })
    const stopUpkeep = keepUp({
      ...{ admission, book: members, self: signer.peerId, clock: systemClock, onWarning: tell },
      onLine(why) {
        onProgress(why)
        onEvent({ type: 'addresses', addresses: network.addresses(), joinLine: lines.printed() })
      },
    })
    undo.push(async () => stopUpkeep())
    const { round } = peer.status()
    const addresses = network.addresses()
    const about = { peer: signer.peerId, task: task.hex, name: task.manifest.name, addresses, joinLine, dir }
    dashboard?.show({
      about: aboutOf(task, {
        ...{ peer: signer.peerId, dir, startedAt: systemClock.wall(), data: learning.summary },
        trainer: learning.parts.trainer,
      }),
      members: () => running.members(),
      connections: () => network.connections().length,
      protocols: () => network.protocols?.() ?? {},
      served,
      exported: () => ({ name: exportName(task.manifest.name), bytes: model.exported(running.model()) }),
    })
    onEvent({ type: 'ready', ...about, round, resumed: !isNew, ...link })
    if (note !== undefined) onProgress(note)
    collectGarbage()
    return { peer, task, joinLine, dir, addresses, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The peer's events, and those of what is around it, for whoever watches. */
function createTold() {
  const listeners = new Set<(event: PeerEvent) => void>()
  return {
    emit(event: PeerEvent): void {
      for (const listener of listeners) listener(event)
    },
    subscribe(listener: (event: PeerEvent) => void): () => void {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

async function startNetwork({ privateKey }: Identity, local: LocalOptions, onWarning: (message: string) => void): Promise<Network> {
  const { listen, announce, mdns, relay, upnp } = local
  const network = createLibp2pNetwork({ privateKey, listen, mdns, relay, upnp, onWarning, ...(announce && { announce }) })
  await network.start()
  return network
}

/** Keeps all bootstrap addresses connected for life; `reached` grows by who answers, `contact` is the first of them. */
function connectAll(
  network: Network,
  addresses: readonly string[],
  how: { warn: (message: string) => void; isWanted: (peer: PeerId) => boolean; signal: AbortSignal },
): { reached: PeerId[]; contact: Promise<unknown> } {
  const { warn, isWanted, signal } = how
  const reached: PeerId[] = []
  const attempts = addresses.map(async (address) => {
    const onRetry = (attempt: number, waitMillis: number, why: string) =>
      warn(`${address} does not answer (${why}); attempt ${attempt}, next in ${(waitMillis / 1000).toFixed(1)} s.`)
    reached.push(await network.connect(address, { signal, isWanted, onRetry }))
  })
  const contact = Promise.any(attempts).catch((error: unknown) => {
    throw error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : nobodyToAsk()
  })
  // A peer with a task goes on without them; one that joins waits for `contact` itself.
  contact.catch(() => {})
  return { reached, contact }
}

/** Only who has lost its membership, or all that it knew of the others, needs one and has none. */
const nobodyToAsk = (): MurmurError =>
  new MurmurError(
    'not-admitted',
    'This directory holds no membership that counts, and no address of a member to ask for one: name one with --bootstrap, or start once with founder.key in the directory.',
  )

/** Says every few seconds how far a long fetch has come. */
function progressOf(ref: PayloadRef, say: (text: string) => void): (bytes: number) => void {
  let said = performance.now()
  return (bytes) => {
    if (performance.now() - said < PROGRESS_MILLIS) return
    said = performance.now()
    say(`Fetched ${Math.round((100 * bytes) / ref.length)} % of ${(ref.length / 1e6).toFixed(1)} MB ...`)
  }
}

async function writeModel(dir: string, model: TaskModel, params: Float32Array): Promise<string> {
  const path = join(dir, 'model.onnx')
  await writeDurable(path, model.exported(params))
  return path
}

/** What only a test task allows. @throws bad-argument elsewhere */
function checkExperiments({ misbehave, probe }: LocalOptions, task: Task): void {
  if ((misbehave !== undefined || probe !== undefined) && !task.manifest.testTask) {
    throw new MurmurError('bad-argument', '--misbehave and --probe work only in a network founded with --test-task.')
  }
}
