// Where members can be dialled, by their own signed word: the own list kept told, the newest of each other member kept and handed to the network.
import { equals } from 'uint8arrays/equals'
import { type Addresses, openAddresses, sealAddresses } from '../../protocol/addresses.ts'
import { encodeRecord } from '../../protocol/gossip.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { RejectionCode } from '../../protocol/rejections.ts'
import { encodeSigned, type SignedRecord } from '../../protocol/signed.ts'
import { topicOf } from '../../protocol/task.ts'
import type { PeerEvent } from '../events.ts'
import { createRateLimit } from '../rate-limit.ts'
import type { PeerParts } from './parts.ts'

/** Milliseconds after which the own list is told again though it has not changed: newcomers hear it from others before that. */
const RENEW_MILLIS = 10 * 60_000
/** Lists of one member that are passed on: a few at once while it starts, then one in ten seconds; each costs everyone a message. */
const CHANGES = { perSecond: 0.1, burst: 5, keys: LIMITS.members }

/** How a record came here: from the own disk, or by gossip, which carries only what was published just now. */
export type Way = 'disk' | 'exchange' | 'gossip'

export interface AddressBook {
  take(envelope: Uint8Array, way: Way): 'new' | 'known' | RejectionCode
  records(): SignedRecord[]
  /** Tells the own addresses where they have changed or were not told for long. */
  refresh(): void
  forget(peer: PeerId): void
  /** The best address of each of these members, as far as known. */
  bestOf(peers: readonly PeerId[]): string[]
  /** True where a former process of this peer has told its addresses. */
  hasToldBefore(): boolean
}

export function createAddressBook(parts: PeerParts, emit: (event: PeerEvent) => void): AddressBook {
  const { network, members, store, clock, signer, task, verify } = parts
  const known = new Map<PeerId, Addresses>()
  const changes = createRateLimit(CHANGES, clock)
  /** What was signed last, by this process or a former one. */
  let own: Addresses | undefined
  let told: { list: string; at: number } | undefined
  /** The highest sequence that anyone has shown of this peer: the next one is above it whatever the clock says. */
  let highest = 0
  let hasWarned = false

  function takeOwn(addresses: Addresses, way: Way): 'known' | RejectionCode {
    if (addresses.sequence <= highest) return 'own'
    highest = addresses.sequence
    if (way === 'disk') {
      own = addresses
      return 'known'
    }
    // After the own list was told there are newer ones only of another process: told just now, so it is running.
    if (way === 'gossip' && told !== undefined && !hasWarned) {
      hasWarned = true
      emit({
        type: 'warning',
        code: 'identity-twin',
        message:
          'Another process runs with the identity of this peer right now: stop it. If both sign an update for one round, the network shuts this identity out for good.',
      })
    }
    told = undefined
    return 'own'
  }

  /** Where the book is full, room is made by forgetting someone who is not connected. */
  function makeRoom(): boolean {
    if (known.size < LIMITS.members) return true
    const connected = new Set(network.connections())
    for (const peer of known.keys()) {
      if (connected.has(peer)) continue
      forget(peer)
      return true
    }
    return false
  }

  function forget(peer: PeerId): void {
    if (known.delete(peer)) network.learn(peer, [])
  }

  return {
    take(envelope, way) {
      const addresses = openAddresses(envelope, task.id, verify)
      if (typeof addresses === 'string') return addresses
      const { author, sequence } = addresses
      if (author === network.self) return takeOwn(addresses, way)
      if (!members.isMember(author)) return 'not-a-member'
      const held = known.get(author)
      if (held !== undefined && sequence <= held.sequence) return equals(held.envelope, envelope) ? 'known' : 'stale-sequence'
      if (held === undefined && !makeRoom()) return 'full'
      if (!changes.take(author)) return 'full'
      known.set(author, addresses)
      if (way !== 'disk') store.saveRecord(`addresses ${author}`, encodeSigned({ kind: 'addresses', envelope }))
      network.learn(author, addresses.addresses)
      return 'new'
    },
    records: () => [own ?? [], ...known.values()].flat().map(({ envelope }) => ({ kind: 'addresses' as const, envelope })),
    refresh() {
      const addresses = network.addresses()
      const list = addresses.join(' ')
      if (told?.list === list && clock.now() - told.at < RENEW_MILLIS) return
      const changed = told !== undefined && told.list !== list
      highest = Math.max(highest + 1, Math.floor(clock.wall()))
      own = sealAddresses({ sequence: highest, addresses }, task.id, signer)
      told = { list, at: clock.now() }
      const record = { kind: 'addresses' as const, envelope: own.envelope }
      store.saveRecord(`addresses ${network.self}`, encodeSigned(record))
      // Nobody may be there yet: whoever comes asks for it.
      network.publish(topicOf(task), encodeRecord(record)).catch(() => {})
      if (changed && parts.joinLine !== undefined) emit({ type: 'addresses', addresses, joinLine: parts.joinLine() })
    },
    forget,
    bestOf: (peers) => peers.flatMap((peer) => known.get(peer)?.addresses[0] ?? []),
    hasToldBefore: () => own !== undefined && told === undefined,
  }
}
