// A real peer from a directory: lock, identity, task, data, worker threads, libp2p; put together, started, and stopped in reverse.
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exportModel, loadModel } from '../../models/index.ts'
import { codecOf } from '../../protocol/codec/index.ts'
import { MurmurError } from '../../protocol/errors.ts'
import { encodeJoinLine, JOIN_LINE_ADDRESSES } from '../../protocol/join-line.ts'
import { type Layout, layoutSize } from '../../protocol/layout.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Hash } from '../../protocol/payload.ts'
import { openTask, type Task } from '../../protocol/task.ts'
import type { LocalOptions, TaskOptions } from '../cli/options.ts'
import { loadData } from '../data/load.ts'
import type { PeerEvent } from '../events.ts'
import { createLibp2pNetwork } from '../host/libp2p-network.ts'
import { createPayloadExchange } from '../host/payload-exchange.ts'
import { parseAttack } from '../lab/attacks.ts'
import type { Network, Store } from '../ports.ts'
import { writeDurable } from '../store/files.ts'
import { loadOrCreateIdentity } from '../store/identity.ts'
import { lockDirectory } from '../store/lock.ts'
import { openStore } from '../store/store.ts'
import { createVerifier } from '../store/verify.ts'
import { createTrainer } from '../train/trainer.ts'
import { createAggregator } from './aggregator.ts'
import { systemClock } from './clock.ts'
import { serveControl } from './control.ts'
import { makeDirectory, readTask, writeTask } from './directory.ts'
import { fetchTask, type JoinTarget } from './fetch-task.ts'
import { foundTask } from './found.ts'
import { watchHealth } from './health.ts'
import { createPeer, type Peer } from './peer.ts'

export interface LaunchOptions {
  dir: string
  local: LocalOptions
  /** Found this network where the directory has no task yet. */
  found?: TaskOptions
  /** Join this one where the directory has no task yet. */
  join?: JoinTarget
  /** Every event, from before the peer is ready. */
  onEvent: (event: PeerEvent) => void
  /** One line about what goes on while it starts. */
  onProgress: (text: string) => void
  /** Asked once the task is known and before anything of it runs; false: leave. */
  confirm?: (task: Task) => Promise<boolean>
  signal: AbortSignal
}

export interface Running {
  peer: Peer
  task: Task
  joinLine: string
  dir: string
  stop(): Promise<void>
}

const hash: Hash = (bytes) => createHash('sha256').update(bytes).digest()
const random = { bytes: (count: number) => new Uint8Array(randomBytes(count)) }

/** @throws MurmurError with one sentence for a person; whatever was opened until then is closed again */
export async function launch(options: LaunchOptions): Promise<Running> {
  const { local, onEvent, onProgress, signal } = options
  const undo: (() => Promise<unknown> | unknown)[] = []
  const stop = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step()
  }
  try {
    const dir = await makeDirectory(options.dir)
    undo.push(await lockDirectory(dir))
    const { privateKey, signer } = await loadOrCreateIdentity(dir)
    const verify = createVerifier()
    const network = createLibp2pNetwork({ privateKey, listen: local.listen, ...(local.announce && { announce: local.announce }) })
    await network.start()
    undo.push(() => network.stop())
    const warn = (code: 'bootstrap-unreachable' | 'disk-failed', message: string) => onEvent({ type: 'warning', code, message })
    const stored = await readTask(dir)
    const addresses = [...new Set([...(local.bootstrap ?? []), ...(options.join?.addresses ?? [])])]
    const reached: string[] = []
    const contact = connectAll(network, addresses, reached, warn, signal)

    const openStoreFor = (layout: Layout): Promise<Store> =>
      openStore(dir, { layout, onWarning: (message: string) => warn('disk-failed', message) })
    let task: Task
    let store: Store
    if (stored !== undefined) {
      task = openTask(stored, { verify, hash, ...(options.join?.task && { expected: options.join.task }) })
    } else if (options.found !== undefined) {
      onProgress(`Founding the network "${options.found.name}" ...`)
      const objects = await openStoreFor([])
      const envelope = await foundTask(options.found, { store: objects, signer, random, hash })
      await objects.close()
      await writeTask(dir, envelope)
      task = openTask(envelope, { verify, hash })
    } else if (options.join !== undefined) {
      onProgress(`Looking for the network at ${addresses[0]} ...`)
      task = await fetchTask(options.join, await contact, { network, verify, hash, signal })
      if (options.confirm && !(await options.confirm(task))) throw new MurmurError('cancelled', 'Not joined; nothing was sent.')
    } else {
      throw new MurmurError(
        'directory-invalid',
        `${dir} holds no peer yet: found a network there with \`murmur start\` or join one with \`murmur join\`.`,
      )
    }
    store = await openStoreFor(task.layout)
    undo.push(() => store.close())
    const exchange = createPayloadExchange({ network, store, task: task.id, hash, clock: systemClock })
    const { graph, initial } = await fetchModel(
      task,
      store,
      (ref) => exchange.pull(ref, () => reached, { signal }),
      onProgress,
    )
    if (stored === undefined && options.join !== undefined) await writeTask(dir, task.envelope)

    onProgress('Reading the data ...')
    const data = await loadData(local.data ?? missingData(), task.manifest.data, {
      ...(local.shard && { shard: shardOf(local, signer.peerId) }),
      validation: local.validation,
      seed: local.dataSeed,
      withTest: local.test,
    })
    onProgress(`Data: ${data.summary}.`)
    const { loss, optimizer, work } = task.manifest
    const trainer = await createTrainer({
      graph,
      layout: task.layout,
      loss,
      optimizer,
      work,
      input: task.manifest.data.input,
      data,
      threads: local.threads,
    })
    undo.push(() => trainer.stop())
    const aggregator = createAggregator()
    undo.push(() => aggregator.stop())
    if ((local.misbehave !== undefined || local.probe !== undefined) && !task.manifest.testTask) {
      throw new MurmurError('bad-argument', '--misbehave and --probe work only in a network founded with --test-task.')
    }
    const peer = createPeer({
      task,
      initial,
      network,
      exchange,
      trainer,
      aggregator,
      store,
      clock: systemClock,
      random,
      signer,
      verify,
      hash,
      health: watchHealth(),
      testAtEnd: local.test && data.test !== undefined,
      onFinish: async (params) => {
        const path = join(dir, 'model.onnx')
        await writeDurable(path, exportModel(graph, task.layout, params))
        return path
      },
      ...(local.misbehave !== undefined && { forge: parseAttack(local.misbehave).forge(signer.peerId) }),
      ...(local.probe !== undefined && { probe: local.probe }),
    })
    peer.subscribe(onEvent)
    undo.push(await serveControl(dir, peer))
    await peer.start()
    undo.push(() => peer.stop())
    const joinLine = encodeJoinLine({ task: task.hex, addresses: network.addresses().slice(0, JOIN_LINE_ADDRESSES) }, hash)
    if (local.joinFile !== undefined) await writeFile(local.joinFile, `${joinLine}\n`)
    const { round } = peer.status()
    onEvent({
      type: 'ready',
      peer: signer.peerId,
      task: task.hex,
      name: task.manifest.name,
      addresses: network.addresses(),
      joinLine,
      dir,
      round,
      resumed: stored !== undefined,
    })
    return { peer, task, joinLine, dir, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function missingData(): never {
  throw new MurmurError('bad-argument', 'No data is named: add --data mnist, or --data DIR with IDX files.')
}

function shardOf(local: LocalOptions, peerId: string): Parameters<typeof loadData>[2]['shard'] {
  const [index = '', of = ''] = (local.shard ?? '').split('/')
  const common = { of: Number(of), alpha: local.alpha, seed: local.dataSeed }
  return index === 'auto' ? { byPeerId: peerId, ...common } : { index: Number(index) - 1, ...common }
}

/** Keeps all bootstrap addresses connected for life; adds to `reached` who answers, and resolves with the first. */
function connectAll(
  network: Network,
  addresses: readonly string[],
  reached: string[],
  warn: (code: 'bootstrap-unreachable', message: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const attempts = addresses.map(async (address) => {
    const peer = await network.connect(address, {
      signal,
      onRetry: (attempt, waitMillis, why) =>
        warn(
          'bootstrap-unreachable',
          `${address} does not answer (${why}); attempt ${attempt}, next in ${(waitMillis / 1000).toFixed(1)} s.`,
        ),
    })
    reached.push(peer)
    return peer
  })
  const first = Promise.any(attempts).catch((error: unknown) => {
    throw error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error
  })
  first.catch(() => {})
  return first
}

/** The task's model and initial weights, pulled where they are not there yet, and checked against the layout that was signed. */
async function fetchModel(
  task: Task,
  store: Store,
  pull: (ref: { hash: Uint8Array; length: number; codec: string }) => Promise<Uint8Array>,
  onProgress: (text: string) => void,
): Promise<{ graph: Uint8Array; initial: Float32Array }> {
  const { model, weights, limits } = task.manifest
  if (model.length > LIMITS.modelBytes)
    throw new MurmurError('limit-exceeded', `The task's model has ${model.length} bytes; at most ${LIMITS.modelBytes} are accepted.`)
  const codec = codecOf(weights.codec)
  const size = layoutSize(task.layout)
  if (weights.length !== codec.encodedLength(size)) {
    throw new MurmurError(
      'task-invalid',
      `The task's weights have ${weights.length} bytes, but its layout of ${size} parameters takes ${codec.encodedLength(size)}.`,
    )
  }
  const get = async ({ hash: hex, ...ref }: { hash: string; length: number; codec: string }) => {
    const held = await store.getObject(hex)
    if (held === undefined)
      onProgress(`Fetching ${ref.codec === 'onnx' ? 'the model' : 'the initial weights'} (${(ref.length / 1e6).toFixed(1)} MB) ...`)
    return held ?? pull({ ...ref, hash: Buffer.from(hex, 'hex') })
  }
  const graph = await get(model)
  const { layout } = loadModel(graph)
  const same =
    layout.length === task.layout.length && layout.every((entry, i) => JSON.stringify(entry) === JSON.stringify({ ...task.layout[i] }))
  if (!same)
    throw new MurmurError('task-invalid', "The task's model does not have the parameters that its manifest lists; ask the founder.")
  const decoded = codec.decode(await get(weights), size, limits.maxAbs)
  if ('rejected' in decoded)
    throw new MurmurError('task-invalid', `The task's initial weights are unusable (${decoded.rejected}); ask the founder.`)
  return { graph, initial: decoded.values }
}
