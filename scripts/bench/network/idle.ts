// What a member costs that has nothing to do: a real `murmur` process in a network of 100, which waits for more. The others are whole
// peers too, dozens to a process, without a disk.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { createLibp2pNetwork } from '../../../node/host/libp2p-network.ts'
import { createPayloadExchange } from '../../../node/host/payload-exchange.ts'
import { createAggregator } from '../../../node/peer/aggregator.ts'
import { systemClock as clock } from '../../../node/peer/clock.ts'
import { createMemberBook } from '../../../node/peer/member-book.ts'
import { createPeer } from '../../../node/peer/peer.ts'
import type { Trainer } from '../../../node/ports.ts'
import { sha256 as hash } from '../../../node/sha256.ts'
import { signerOfSeed } from '../../../node/store/identity.ts'
import { memoryStore } from '../../../node/store/memory-store.ts'
import { createVerifier } from '../../../node/store/verify.ts'
import { layoutSize } from '../../../protocol/layout.ts'
import { openTask } from '../../../protocol/task.ts'
import { type MurmurProcess, murmur } from '../../../test/helpers/processes.ts'
import type { Check } from './check.ts'

const CROWDS = 3
/** After the last one has come: until everyone has the connections that it wants. */
const SETTLE_MILLIS = 60_000
const MEASURE_MILLIS = 60_000
const READY_MILLIS = 600_000
const STOP_MILLIS = 10_000

interface Crowd {
  /** The signed task, in hex. */
  task: string
  bootstrap: string
  count: number
}

/** Nobody ever trains: more are waited for than there are. */
const idleTrainer: Trainer = {
  size: 0,
  trainSamples: 1,
  validationSamples: 1,
  train: () => Promise.reject(new Error('this peer does not train')),
  evaluate: () => Promise.reject(new Error('this peer does not evaluate')),
  async stop() {},
}

/** One of the other processes. */
async function serve(): Promise<void> {
  process.once('disconnect', () => process.exit())
  const [{ task: hex, bootstrap, count }] = (await once(process, 'message')) as [Crowd]
  const verify = createVerifier()
  const task = openTask(Buffer.from(hex, 'hex'), { verify, hash })
  const aggregator = createAggregator()
  for (let i = 0; i < count; i++) {
    const seed = crypto.getRandomValues(new Uint8Array(32))
    const privateKey = await generateKeyPairFromSeed('Ed25519', seed)
    const network = createLibp2pNetwork({ privateKey, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false })
    await network.start()
    const store = memoryStore()
    const peer = createPeer({
      ...{ task, network, store, clock, verify, hash, aggregator },
      initial: new Float32Array(layoutSize(task.layout)),
      members: await createMemberBook({ task, store, verify, clock }),
      exchange: createPayloadExchange({ network, store, task: task.id, hash, clock }),
      trainer: idleTrainer,
      random: { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) },
      signer: signerOfSeed(seed),
    })
    await peer.start()
    await network.connect(bootstrap)
  }
  process.send?.('ready')
}

/** As users start it: with Node's options for profiling, and ended by `end`. */
const start = (args: string[]) => murmur({ teardown() {} }, args, { NODE_OPTIONS: process.env.NODE_OPTIONS ?? '' })

/** Others that it gossips with, as it told last. */
const connected = ({ events }: MurmurProcess) => events.findLast((event) => event.type === 'peers')?.connected ?? 0

/** Of one process, as Linux counts: seconds of processor time, and bytes resident now and at most. */
async function usageOf(pid: number | undefined): Promise<{ cpu: number; rss: number; most: number; threads: number }> {
  const [stat, status] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8'), readFile(`/proc/${pid}/status`, 'utf8')])
  // Behind the name, which may hold anything: state is field 3, user and system time are 14 and 15, in hundredths.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1])
  return {
    cpu: (Number(fields[11]) + Number(fields[12])) / 100,
    rss: field('VmRSS') * 1024,
    most: field('VmHWM') * 1024,
    threads: field('Threads'),
  }
}

export async function idle(peers: number): Promise<Check[]> {
  const dir = await mkdtemp(join(tmpdir(), 'murmur-idle-'))
  const children: ChildProcess[] = []
  // As users start it, but for looking around in a network that is not ours.
  const common = ['--json', '--data', 'mnist', '--no-mdns']
  try {
    const task = ['--model', 'softmax', '--admission', 'open', '--min-peers', String(peers + 1)]
    const founder = start(['start', join(dir, 'founder'), ...task, ...common, '--shard', `1/${peers}`])
    children.push(founder.child)
    const { joinLine, addresses } = await founder.event('ready', undefined, READY_MILLIS)
    const envelope = (await readFile(join(dir, 'founder', 'task'))).toString('hex')
    for (let i = 0; i < CROWDS; i++) {
      const count = Math.floor((peers - 2 + i) / CROWDS)
      const crowd = fork(new URL(import.meta.url))
      children.push(crowd)
      crowd.send({ task: envelope, bootstrap: addresses[0]!, count } satisfies Crowd)
      await once(crowd, 'message')
    }
    const member = start(['join', joinLine, '--dir', join(dir, 'member'), ...common, '--shard', `2/${peers}`])
    children.push(member.child)
    await member.event('ready', undefined, READY_MILLIS)
    await setTimeout(SETTLE_MILLIS)
    const { pid } = member.child
    const before = await usageOf(pid)
    await setTimeout(MEASURE_MILLIS)
    const after = await usageOf(pid)
    const share = (100 * 1000 * (after.cpu - before.cpu)) / MEASURE_MILLIS
    const who = `of an idle member of ${peers} peers`
    const name = 'idle'
    return [
      { name, what: `% of a core ${who}, ${connected(member)} of them connected, over a minute`, value: share, goal: { most: 2 } },
      {
        name,
        what: `MB resident ${who} (at most ${(after.most / 1e6).toFixed(0)} since it began; ${after.threads} threads)`,
        value: after.rss / 1e6,
        goal: { most: 150 },
      },
    ]
  } finally {
    // The member first, and as users end it: so that it can be profiled with Node's own means.
    await Promise.all(children.reverse().map(end))
    await rm(dir, { recursive: true })
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(child.connected ? 'SIGKILL' : 'SIGTERM')
  await Promise.race([ended, setTimeout(STOP_MILLIS, undefined, { ref: false })])
  child.kill('SIGKILL')
  await ended
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) await serve()
