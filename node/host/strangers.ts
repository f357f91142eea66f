// Connections of those who are not members: few, and short. In one place, so that nothing else that is served has to count them.
import type { Connection, ConnectionGater } from '@libp2p/interface'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Gate } from '../ports.ts'
import { originOf } from './origin.ts'

export interface Strangers {
  /** For libp2p to ask: who is turned away before, or as soon as, it has proven who it is. */
  gater: ConnectionGater
  /** Undefined while no gate is set: a peer that joins does not know yet who is a member. */
  isMember(peer: PeerId): boolean | undefined
  /** Sets the gate, or asks it again about everyone who is connected. */
  admit(gate: Gate): void
  /** We dial this peer because our user said so: it may stay, as we are a stranger to it too. */
  spare(peer: PeerId): void
  onOpen(connection: Connection): void
  onClose(connection: Connection): void
  /** Forgets all connections, and ends the timers. */
  stop(): void
}

interface Guest {
  connection: Connection
  /** Where it comes from. */
  origin: string
  /** It was a member once. */
  admitted: boolean
  /** Ends its time; absent for members, and for whom we were told to dial. */
  cancel?: () => void
}

export function createStrangers(clock: Clock): Strangers {
  const guests = new Map<string, Guest>()
  /** By whoever the user names, so their number is the user's. */
  const spared = new Set<PeerId>()
  let gate: Gate | undefined

  const isMember = (peer: PeerId) => gate?.isMember(peer)
  const isStranger = (peer: PeerId) => isMember(peer) === false

  /**
   * Whether there is a place for a stranger from `origin`. Where all are taken, one address with several makes room for one with fewer:
   * a single machine cannot keep everyone else out, and many behind one router can still come together.
   */
  function placeFor(origin: string): { instead?: Guest } | undefined {
    const placed = [...guests.values()].filter(({ cancel }) => cancel !== undefined)
    if (placed.length < LIMITS.strangers) return {}
    const from = Map.groupBy(placed, (guest) => guest.origin)
    const most = [...from.values()].reduce((a, b) => (b.length > a.length ? b : a))
    // The one that has had most of its time.
    return most.length > (from.get(origin)?.length ?? 0) + 1 ? { instead: most[0]! } : undefined
  }

  function end(guest: Guest, why: string): void {
    guest.cancel?.()
    guests.delete(guest.connection.id)
    guest.connection.abort(new Error(why))
  }

  /** Decides anew about one connection. */
  function judge(guest: Guest): void {
    const { connection } = guest
    const peer = connection.remotePeer.toString()
    if (gate === undefined) return
    if (!isStranger(peer)) {
      guest.admitted = true
      guest.cancel?.()
      delete guest.cancel
      return
    }
    if (guest.admitted) end(guest, 'it is not a member any more')
    else if (guest.cancel === undefined && !(connection.direction === 'outbound' && spared.has(peer))) seat(guest)
  }

  function seat(guest: Guest): void {
    const place = placeFor(guest.origin)
    if (place?.instead !== undefined) end(place.instead, 'others who are not members need room')
    if (place === undefined) end(guest, 'too many who are not members')
    else guest.cancel = clock.after(LIMITS.strangerMillis, () => end(guest, 'it is not a member'))
  }

  return {
    gater: {
      denyInboundEncryptedConnection: (peer, { remoteAddr }) =>
        isStranger(peer.toString()) && placeFor(originOf(remoteAddr.toString())) === undefined,
      denyInboundRelayReservation: (peer) => isMember(peer.toString()) !== true,
      denyOutboundRelayedConnection: (source, destination) =>
        isMember(source.toString()) !== true || isMember(destination.toString()) !== true,
      denyInboundRelayedConnection: (_, peer) => isStranger(peer.toString()),
    },
    isMember,
    admit(next) {
      gate = next
      for (const guest of [...guests.values()]) if (guests.has(guest.connection.id)) judge(guest)
    },
    spare(peer) {
      spared.add(peer)
      for (const guest of guests.values()) {
        if (guest.connection.direction !== 'outbound' || guest.connection.remotePeer.toString() !== peer) continue
        guest.cancel?.()
        delete guest.cancel
      }
    },
    onOpen(connection) {
      const guest = { connection, origin: originOf(connection.remoteAddr.toString()), admitted: false }
      guests.set(connection.id, guest)
      judge(guest)
    },
    onClose({ id }) {
      guests.get(id)?.cancel?.()
      guests.delete(id)
    },
    stop() {
      for (const { cancel } of guests.values()) cancel?.()
      guests.clear()
    },
  }
}
