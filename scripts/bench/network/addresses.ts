// What it costs that all members know where all others can be dialled, and how soon they do: the product's address book, state exchange and
// dialling among 100 members and up to the most that a network has, in virtual time. The table in docs/reach.md comes from here.
// Usage: node scripts/bench/network/addresses.ts [--members 100,300,1024] [--seed 1] [--json]; 1,024 take long.
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createVirtualClock } from '../../../node/lab/virtual-clock.ts'
import { type AddressBook, createAddressBook } from '../../../node/peer/address-book.ts'
import { createExchange, type Exchange } from '../../../node/peer/exchange.ts'
import type { PeerParts } from '../../../node/peer/parts.ts'
import type { Network, Signer } from '../../../node/ports.ts'
import { sha256 } from '../../../node/sha256.ts'
import { memoryStore } from '../../../node/store/memory-store.ts'
import { createVerifier } from '../../../node/store/verify.ts'
import { sealAddresses } from '../../../protocol/addresses.ts'
import { decodeGossip } from '../../../protocol/gossip.ts'
import { createPrng } from '../../../protocol/prng.ts'
import { signerOf } from '../../../test/helpers/keys.ts'
import { taskOf } from '../../../test/helpers/task.ts'
import { createOverlay, type Member } from './overlay.ts'

/** As the heartbeat of `node/peer/peer.ts`. */
const HEARTBEAT_MILLIS = 2000
const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** How long the state exchange of a network in which nothing happens is measured. */
const QUIET_MILLIS = 2 * MINUTE
/** What takes longer counts as never. */
const PATIENCE = 2 * HOUR
const AWAY = 0.2
const RETURNS = 5
const task = taskOf()

interface Process {
  book: AddressBook
  exchange: Exchange
  stop(): void
}

/** Addresses of which two are usual, one of them good only at home. */
const addressesAt = (peer: string, port: number) => [
  `/ip4/203.0.113.${port >> 10}/tcp/${20_000 + port}/p2p/${peer}`,
  `/ip4/192.168.1.10/tcp/4001/p2p/${peer}`,
]

/** All members verify the same signatures, in one process: each is verified once. */
function verifyOnce() {
  const verify = createVerifier()
  const known = new Map<string, boolean>()
  return (key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
    const name = Buffer.from(signature).toString('latin1')
    const fits = known.get(name) ?? verify(key, message, signature)
    known.set(name, fits)
    return fits
  }
}

function build(count: number, seed: string) {
  const clock = createVirtualClock(1_800_000_000_000)
  const prng = createPrng(`${seed} ${count}`)
  const overlay = createOverlay(clock, prng.next)
  const signers = Array.from({ length: count }, (_, i) => signerOf(`member ${i}`))
  const members = signers.map((signer, i) => overlay.add(signer.peerId, addressesAt(signer.peerId, i)))
  const processes = new Map<Member, Process>()
  const verify = verifyOnce()
  let ports = count

  /** Those of whom it is counted who knows where they are now. */
  const watched = new Map<string, { address: string | undefined; by: Set<string> }>()

  function start(member: Member, signer: Signer, stored: readonly Uint8Array[], after = 0): void {
    const network: Network = {
      ...member.network,
      learn(peer, addresses) {
        member.network.learn(peer, addresses)
        const watch = watched.get(peer)
        if (watch !== undefined && addresses[0] === watch.address) watch.by.add(member.self)
      },
    }
    const random = { bytes: (length: number) => Uint8Array.from({ length }, () => prng.int(256)) }
    const parts = { network, members: { isMember: () => true }, store: memoryStore(), clock, signer, task, verify, hash: sha256, random }
    const book = createAddressBook(parts as unknown as PeerParts, () => {})
    const exchange = createExchange(parts as unknown as PeerParts, {
      records: book.records,
      take: (record) => (record.kind === 'addresses' ? book.take(record.envelope, 'exchange') : 'malformed'),
      isStalled: () => false,
    })
    for (const envelope of stored) book.take(envelope, 'disk')
    let cancel = () => {}
    const heartbeat = () => {
      book.refresh()
      cancel = clock.after(HEARTBEAT_MILLIS, heartbeat)
    }
    member.onLink = (peer) => void exchange.with(peer)
    member.gossip = (message) => {
      const record = decodeGossip(message)
      return typeof record === 'object' && record.type === 'addresses' && book.take(record.envelope, 'gossip') === 'new'
    }
    exchange.serve()
    exchange.start()
    cancel = clock.after(after, heartbeat)
    processes.set(member, {
      book,
      exchange,
      stop() {
        cancel()
        exchange.stop()
        member.gossip = () => false
        member.onLink = () => {}
      },
    })
  }

  const storedBy = (member: Member) =>
    processes
      .get(member)!
      .book.records()
      .flatMap((record) => (record.kind === 'addresses' ? [record.envelope] : []))

  return {
    clock,
    overlay,
    members,
    watched,
    signerOf: (member: Member) => signers[members.indexOf(member)]!,
    start,
    storedBy,
    nextPort: () => ports++,
    /** Ends the process; it is dialled in vain from then on. */
    leave(member: Member) {
      processes.get(member)?.stop()
      processes.delete(member)
      overlay.move(member, [])
    },
    /** Another process of the member, at another port where one is given; it dials from what it had stored. */
    comeBack(member: Member, stored: readonly Uint8Array[], port?: number) {
      overlay.move(member, addressesAt(member.self, port ?? members.indexOf(member)))
      overlay.dialFrom(member)
      start(member, signers[members.indexOf(member)]!, stored)
    },
    isUp: (member: Member) => processes.has(member),
  }
}

type World = ReturnType<typeof build>

/** Restarts them on other ports and tells how long it takes until everyone who is up knows all of it, in seconds. */
async function moved(
  world: World,
  who: readonly Member[],
  stored = new Map(who.map((member) => [member, world.storedBy(member)])),
): Promise<number> {
  const { clock, watched, members } = world
  watched.clear()
  for (const member of who) if (world.isUp(member)) world.leave(member)
  const since = clock.now()
  for (const member of who) {
    world.comeBack(member, stored.get(member) ?? [], world.nextPort())
    watched.set(member.self, { address: member.addresses[0], by: new Set([member.self]) })
  }
  return await secondsUntil(world, since, () => {
    const up = members.filter(world.isUp)
    return [...watched.values()].every(({ by }) => by.size >= up.length)
  })
}

async function secondsUntil({ clock }: World, since: number, done: () => boolean): Promise<number> {
  while (!done()) {
    if (clock.now() - since > PATIENCE) return Number.POSITIVE_INFINITY
    await clock.advance(250)
  }
  return (clock.now() - since) / 1000
}

/** Kilobytes that one member's book, its digests and what it dials take, beyond those of a member that knows nobody. */
function memoryOf(count: number): number {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const used = () => {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const world = build(1, 'memory')
  const [member] = world.members as [Member]
  const envelopes = Array.from({ length: count - 1 }, (_, i) => {
    const signer = signerOf(`member ${i + 1}`)
    return sealAddresses({ sequence: 1, addresses: addressesAt(signer.peerId, i) }, task.id, signer).envelope
  })
  const before = used()
  world.overlay.dialFrom(member)
  world.start(
    member,
    world.signerOf(member),
    envelopes.map((envelope) => envelope.slice()),
  )
  const kilobytes = (used() - before) / 1000
  world.leave(member)
  return kilobytes
}

async function measure(count: number, seed: string) {
  const world = build(count, seed)
  const { clock, overlay, members } = world
  overlay.linkAll()
  for (const [i, member] of members.entries()) world.start(member, world.signerOf(member), [], (i * HEARTBEAT_MILLIS) / count)

  // Each tells its list once when it starts.
  await clock.advance(10 * HEARTBEAT_MILLIS)
  const announcement = overlay.bytes.gossip / count / count
  const asked = overlay.bytes.requests + overlay.bytes.responses
  const cpu = process.cpuUsage()
  await clock.advance(QUIET_MILLIS)
  const { user, system } = process.cpuUsage(cpu)
  const exchanged = (((overlay.bytes.requests + overlay.bytes.responses - asked) / count) * HOUR) / QUIET_MILLIS

  const one = members.slice(0, 1)
  const fifth = members.filter((_, i) => i % (1 / AWAY) === 1)
  const oneMoved = await moved(world, one)
  const away = new Map(fifth.map((member) => [member, world.storedBy(member)]))
  for (const member of fifth) world.leave(member)
  const movedMeanwhile = await moved(world, one)
  const fifthReturned = await moved(world, fifth, away)
  return {
    members: count,
    /** Bytes that a member receives, and sends: for a list that one tells, and in an hour of the state exchange. */
    announcement,
    exchanged,
    /** Of one core. */
    cpu: (user + system) / 1000 / QUIET_MILLIS / count,
    /** Seconds. */
    oneMoved,
    movedMeanwhile,
    fifthReturned,
    ...(await lastAddress(world)),
  }
}

/** One comes back after all others but one have moved: what it has stored is wrong. Several times, each with another that has stayed. */
async function lastAddress(world: World): Promise<{ foundIn: number[]; knowsAllIn: number }> {
  const { clock, members, watched } = world
  const lost = members.at(-1)!
  const found: number[] = []
  let knowsAllIn = 0
  for (const stays of members.slice(1, 1 + RETURNS)) {
    const stale = members.map((member) => {
      const addresses = member === stays ? member.addresses : addressesAt(member.self, world.nextPort())
      return sealAddresses({ sequence: 2, addresses }, task.id, world.signerOf(member)).envelope
    })
    world.leave(lost)
    await clock.advance(HEARTBEAT_MILLIS)
    watched.clear()
    for (const member of members) if (member !== lost) watched.set(member.self, { address: member.addresses[0], by: new Set() })
    const since = clock.now()
    world.comeBack(lost, stale)
    found.push(await secondsUntil(world, since, () => lost.links.size > 0))
    const all = await secondsUntil(world, since, () => [...watched.values()].every(({ by }) => by.has(lost.self)))
    knowsAllIn = Math.max(knowsAllIn, all - found.at(-1)!)
  }
  return { foundIn: found.toSorted((a, b) => a - b), knowsAllIn }
}

const { values: flags } = parseArgs({
  options: {
    members: { type: 'string', default: '100,300' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})
const counts = flags.members.split(',').map(Number)
// Before all else, while the heap is small; the first time loads code.
memoryOf(10)
const memory = counts.map(memoryOf)
for (const [i, count] of counts.entries()) {
  const result = { ...(await measure(count, flags.seed)), kilobytes: memory[i] ?? 0 }
  if (flags.json) {
    console.log(JSON.stringify(result))
    continue
  }
  const { announcement, exchanged, cpu, kilobytes, oneMoved, movedMeanwhile, fifthReturned, foundIn, knowsAllIn } = result
  console.log(`${count} members`)
  console.log(`  received, and sent, by each: ${Math.round(announcement)} bytes for a list, ${kB(exchanged)} kB/h of state exchange`)
  console.log(`  ${(100 * cpu).toFixed(3)} % of a core; ${Math.round(kilobytes)} kB of memory`)
  console.log(
    `  one that moved is known to all after ${oneMoved} s, with a fifth away ${movedMeanwhile} s; that fifth, back elsewhere, ${fifthReturned} s`,
  )
  console.log(`  all but one have moved: that one is found in ${foundIn.join(', ')} s; all others known at most ${knowsAllIn} s later`)
}

function kB(bytes: number): number {
  return Math.round(bytes / 1000)
}
