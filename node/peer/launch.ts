// A real peer from a directory: lock, identity, task, data, worker threads, libp2p; put together, started, and stopped in reverse.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { splitWeights, trainingNotes } from '../../models/index.ts'
import { isZooModel, zooModel } from '../../models/zoo/index.ts'
import { type ErrorCode, isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { NO_PROOF } from '../../protocol/join.ts'
import { layoutSize, sizeOf } from '../../protocol/layout.ts'
import type { PayloadRef } from '../../protocol/payload.ts'
import type { Task } from '../../protocol/task.ts'
import { type LoadedData, loadData } from '../data/load.ts'
import type { PeerEvent } from '../events.ts'
import { createLibp2pNetwork } from '../host/libp2p-network.ts'
import { createPayloadExchange } from '../host/payload-exchange.ts'
import { misbehaving } from '../lab/misbehaviour.ts'
import { dataOf, type LocalOptions } from '../options.ts'
import type { Network } from '../ports.ts'
import { sha256 as hash } from '../sha256.ts'
import { diskError, writeDurable } from '../store/files.ts'
import { type Identity, loadOrCreateIdentity } from '../store/identity.ts'
import { lockDirectory } from '../store/lock.ts'
import { openStore } from '../store/store.ts'
import { createVerifier } from '../store/verify.ts'
import { checkDataSet, evaluationBatch } from '../train/data-set.ts'
import { runLimited } from '../train/limited.ts'
import { createTrainer, type TrainerOptions } from '../train/trainer.ts'
import { createAdmission } from './admission.ts'
import { createAggregator } from './aggregator.ts'
import { becomeMember, proofOf } from './become-member.ts'
import { systemClock } from './clock.ts'
import { serveControl } from './control.ts'
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
import { founderOf } from './signing.ts'

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
const MIB = 1024 * 1024

const random = { bytes: (count: number) => new Uint8Array(randomBytes(count)) }

/** @throws MurmurError with one sentence for a person; whatever was opened until then is closed again */
export async function launch(options: LaunchOptions): Promise<Running> {
  const { local, onProgress, signal } = options
  const told = createTold()
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
    const identity = await loadOrCreateIdentity(dir)
    const { signer } = identity
    const verify = createVerifier()
    const network = await startNetwork(identity, local, warn('port-not-opened'))
    undo.push(() => network.stop())
    const target: Partial<JoinTarget> = options.join ?? {}
    const { reached, contact } = connectAll(
      network,
      [...new Set([...(local.bootstrap ?? []), ...(target.addresses ?? [])])],
      warn('bootstrap-unreachable'),
      signal,
    )
    const proof = target.task === undefined ? NO_PROOF : proofOf(target, Buffer.from(target.task, 'hex'), signer, random)
    const { task, isNew, objects } = await obtainTask({ ...options, dir }, proof, reached, contact, { network, random, hash, verify })
    const store = await openStore(dir, { layout: task.layout, onWarning: warn('disk-failed') })
    undo.push(() => store.close())
    for (const object of objects) await store.putObject(object.hash, object.bytes)
    let peer: Peer | undefined
    const members = await createMemberBook({ task, store, verify, clock: systemClock, onWarning: tell })
    undo.push(() => members.close())
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
    const stopIntroducing = introduceTo({ network, task, book: members, clock: systemClock })
    undo.push(async () => stopIntroducing())
    const exchange = createPayloadExchange({
      ...{ network, store, task: task.id, hash, clock: systemClock },
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

    onProgress('Reading the data ...')
    const data = await readData(local, task, signer.peerId, onProgress)
    undo.push(async () => await data.close?.())
    onProgress(`Data: ${data.summary}.`)
    const { loss, optimizer, work, data: schema } = task.manifest
    const { threads, provider } = local
    const learning = {
      graph: model.graph,
      loss,
      optimizer,
      batchSize: work.batchSize,
      input: schema.input,
      target: schema.target,
      threads,
      provider,
    }
    if (isNew) {
      const isTrusted = objects.length > 0 || isBuiltIn(task, model.graph)
      // What a stranger's model asks for, also to be understood, it asks for elsewhere.
      const notes = isTrusted ? trainingNotes(model.graph, learning) : await tryModel(task, learning, data, options)
      for (const note of notes) onProgress(note)
      // Last, so that a directory with a task has all the rest, and a mistake until here can be mended by the same command.
      await writeTask(dir, task.envelope)
    }
    const trainer = await createTrainer({ ...learning, data })
    undo.push(() => trainer.stop())
    const aggregator = createAggregator()
    undo.push(() => aggregator.stop())
    const lines = createJoinLines({ network, task, hash, printed: admission.printed, known: () => peer?.knownAddresses() ?? [] })
    const parts: PeerParts = {
      ...{ task, initial: model.initial, network, members, exchange, trainer, aggregator, store, clock: systemClock, random },
      ...{ signer, verify, hash, joinLine: lines.printed },
      ...(data.stream && { loadData: data.stream.load }),
      health: watchHealth(),
      testAtEnd: local.test && data.test !== undefined,
      onFinish: (params) => writeModel(dir, model, params),
      ...(local.probe !== undefined && { probe: local.probe }),
    }
    checkExperiments(local, task)
    const running = createPeer(local.misbehave === undefined ? parts : misbehaving(parts, local.misbehave))
    peer = running
    peer.subscribe(told.emit)
    const log = openLog(dir)
    // The line may let its bearer in: it is no business of whoever reads the log.
    told.subscribe((event) => log('joinLine' in event ? { ...event, joinLine: '' } : event))
    const methods = controlMethods({ peer, admission, book: members, task, verify, lines })
    undo.push(await serveControl(dir, { methods, subscribe: told.subscribe }))
    undo.push(() => running.stop())
    await peer.start()
    stopAdmitting()

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
    const { round } = peer.status()
    const addresses = network.addresses()
    const about = { peer: signer.peerId, task: task.hex, name: task.manifest.name, addresses, joinLine, dir }
    onEvent({ type: 'ready', ...about, round, resumed: !isNew })
    if (note !== undefined) onProgress(note)
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
  warn: (message: string) => void,
  signal: AbortSignal,
): { reached: string[]; contact: Promise<unknown> } {
  const reached: string[] = []
  const attempts = addresses.map(async (address) => {
    const onRetry = (attempt: number, waitMillis: number, why: string) =>
      warn(`${address} does not answer (${why}); attempt ${attempt}, next in ${(waitMillis / 1000).toFixed(1)} s.`)
    reached.push(await network.connect(address, { signal, onRetry }))
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

function readData(local: LocalOptions, task: Task, peerId: string, tell: (text: string) => void): Promise<LoadedData> {
  const { data, ...selection } = dataOf(local)
  const [index = '', of = ''] = (local.shard ?? '').split('/')
  const common = { of: Number(of), alpha: local.alpha, seed: local.dataSeed }
  const shard = index === 'auto' ? { byPeerId: peerId, ...common } : { index: Number(index) - 1, ...common }
  const { work, loss, data: schema } = task.manifest
  return loadData(data, schema, {
    selection,
    ...(local.shard !== undefined && { shard }),
    validation: local.validation,
    seed: local.dataSeed,
    withTest: local.test,
    window: {
      bytes: local.memory * MIB,
      // A round's training sees each sample of its window once.
      ...{ batchSize: work.batchSize, steps: work.steps },
      check: (set) => checkDataSet('train', set, { ...schema, loss }),
    },
    tell,
  })
}

/** Numbers of a batch up to which our own models are known to take little memory. */
const SMALL_BATCH = 2 ** 20

/** Whether a stranger's model is one of our own, which need no trial with batches of a usual size. */
const isBuiltIn = ({ manifest: { model, work, data } }: Task, graph: Uint8Array): boolean =>
  isZooModel(model.name) &&
  work.batchSize * sizeOf(data.input.shape) <= SMALL_BATCH &&
  Buffer.compare(splitWeights(zooModel(model.name, 1)).graph, graph) === 0

/** @returns what training does that a user may not expect. @throws limit-exceeded, model-invalid */
async function tryModel(
  task: Task,
  learning: Omit<TrainerOptions, 'data' | 'workers'> & Pick<LocalOptions, 'threads' | 'provider'>,
  { train, validation, test }: LoadedData,
  { onProgress, signal }: LaunchOptions,
): Promise<string[]> {
  onProgress('Trying the model in a process of its own, under limits of time and memory ...')
  const onWait = (seconds: number) => onProgress(`Still trying the model, ${seconds} s ...`)
  const sets = [train, validation, ...(test === undefined ? [] : [test])].filter(({ samples }) => samples > 0)
  const evaluationBatches = sets.map((set) => evaluationBatch(set))
  const job = { kind: 'step', ...learning, evaluationBatches, parameters: layoutSize(task.layout) } as const
  return (await runLimited(job, { signal, onWait })).notes
}

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
