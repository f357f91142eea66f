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

/** Lists of one member that are passed on: a few at once while it starts, then one in ten seconds; each costs everyone a message. */
const CHANGES = { perSecond: 0.1, burst: 5, keys: LIMITS.members }

/** How a record came here: from the own disk, or by gossip, which carries only what was published just now. */
export type Way = 'disk' | 'exchange' | 'gossip'

export interface AddressBook {
  /** `new` also where gossip brings what others may not have yet. */
  take(envelope: Uint8Array, way: Way): 'new' | 'known' | RejectionCode
  records(): SignedRecord[]
  /** Tells the own addresses where they have changed. Once is enough: the state exchange brings them to whom gossip does not. */
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
  /** Members whose list came by the state exchange: gossip of it is still to be passed on, once. */
  const unheard = new Set<PeerId>()
  const changes = createRateLimit(CHANGES, clock)
  /** What was signed last, by this process or a former one. */
  let own: Addresses | undefined
  let signed: string | undefined
  /** Whether that was told: at start nobody is there to hear it, and who comes asks for it one by one. */
  let isTold = false
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
    // After the own list was signed there are newer ones only of another process: told just now, so it is running.
    if (way === 'gossip' && signed !== undefined && !hasWarned) {
      hasWarned = true
      emit({
        type: 'warning',
        code: 'identity-twin',
        message:
          'Another process runs with the identity of this peer right now: stop it. If both sign an update for one round, the network shuts this identity out for good.',
      })
    }
    signed = undefined
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
    unheard.delete(peer)
    if (known.delete(peer)) network.learn(peer, [])
  }

  function sign(addresses: string[]): void {
    highest = Math.max(highest + 1, Math.floor(clock.wall()))
    own = sealAddresses({ sequence: highest, addresses }, task.id, signer)
    store.saveRecord(`addresses ${network.self}`, encodeSigned({ kind: 'addresses', envelope: own.envelope }))
  }

  return {
    take(envelope, way) {
      const addresses = openAddresses(envelope, task.id, verify)
      if (typeof addresses === 'string') return addresses
      const { author, sequence } = addresses
      if (author === network.self) return takeOwn(addresses, way)
      if (!members.isMember(author)) return 'not-a-member'
      const held = known.get(author)
      if (held !== undefined && sequence <= held.sequence) {
        if (!equals(held.envelope, envelope)) return 'stale-sequence'
        // Who has just started is first asked by its neighbours and then tells all: they alone can pass it on.
        return way === 'gossip' && unheard.delete(author) ? 'new' : 'known'
      }
      if (held === undefined && !makeRoom()) return 'full'
      if (!changes.take(author)) return 'full'
      known.set(author, addresses)
      if (way === 'exchange') unheard.add(author)
      else unheard.delete(author)
      if (way !== 'disk') store.saveRecord(`addresses ${author}`, encodeSigned({ kind: 'addresses', envelope }))
      network.learn(author, addresses.addresses)
      return 'new'
    },
    records: () => [own ?? [], ...known.values()].flat().map(({ envelope }) => ({ kind: 'addresses' as const, envelope })),
    refresh() {
      const addresses = network.addresses()
      const list = addresses.join(' ')
      if (signed !== list) {
        const changed = signed !== undefined
        sign(addresses)
        signed = list
        isTold = false
        if (changed && parts.joinLine !== undefined) emit({ type: 'addresses', addresses, joinLine: parts.joinLine() })
      }
      if (own === undefined || isTold || network.peers().length === 0) return
      isTold = true
      network.publish(topicOf(task), encodeRecord({ kind: 'addresses', envelope: own.envelope })).catch(() => {
        isTold = false
      })
    },
    forget,
    bestOf: (peers) => peers.flatMap((peer) => known.get(peer)?.addresses[0] ?? []),
    hasToldBefore: () => own !== undefined && signed === undefined,
  }
}
