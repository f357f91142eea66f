// Addresses of peers: what people and other peers hand us is checked before it is dialled; what we tell others can be dialled.
import { peerIdFromString } from '@libp2p/peer-id'
import { isLoopback, isPrivate } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'

/** Bytes of an address from another peer: the longest DNS name, a port and a peer id fit. */
export const ADDRESS_BYTES = 256
const HOSTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

export interface Address {
  multiaddr: Multiaddr
  /** Absent where the address does not say whose it is. */
  peer: PeerId | undefined
}

/** An address this program can dial: `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT`, with or without `/p2p/ID`. Undefined for anything else. */
export function readAddress(text: string): Address | undefined {
  try {
    const address = multiaddr(text)
    const [host, port, id, ...more] = address.getComponents()
    if (host === undefined || !HOSTS.has(host.name) || port?.name !== 'tcp' || Number(port.value) === 0 || more.length > 0) return undefined
    if (id === undefined) return { multiaddr: address, peer: undefined }
    if (id.name !== 'p2p' || id.value === undefined) return undefined
    return { multiaddr: address, peer: peerIdFromString(id.value).toString() }
  } catch {
    return undefined
  }
}

/** @throws bad-join-line */
export function parseAddress(text: string): Address {
  const address = readAddress(text)
  if (address !== undefined) return address
  throw new MurmurError(
    'bad-join-line',
    `"${text.slice(0, ADDRESS_BYTES)}" is not an address that can be dialled; one has the form /ip4/203.0.113.5/tcp/4001/p2p/12D3KooW….`,
  )
}

/** An address from another peer: short, of a known kind, and saying whose it is. */
export function readPeerAddress(text: unknown): { text: string; multiaddr: Multiaddr; peer: PeerId } | undefined {
  if (typeof text !== 'string' || text.length > ADDRESS_BYTES) return undefined
  const address = readAddress(text)
  return address?.peer === undefined ? undefined : { text, multiaddr: address.multiaddr, peer: address.peer }
}

export function loopback(address: Multiaddr): boolean {
  const name = address.getComponents()[0]
  return name?.name.startsWith('dns') ? name.value === 'localhost' : isLoopback(address)
}

/**
 * Complete addresses, the most reachable first: those announced as they were given, public ones, those of the local network, and loopback ones
 * last, which only help on the same machine.
 */
export function rankAddresses(self: PeerId, announced: readonly string[], listening: readonly Multiaddr[]): string[] {
  const rank = (address: Multiaddr) => (loopback(address) ? 2 : isPrivate(address) ? 1 : 0)
  const found = [...listening].sort((a, b) => rank(a) - rank(b)).map((address) => address.toString())
  const suffix = `/p2p/${self}`
  return [...new Set([...announced, ...found].map((text) => (text.endsWith(suffix) ? text : text + suffix)))]
}

/** True for a complete address that leads only to the machine it is used on. */
export const isLocalAddress = (text: string): boolean => {
  const address = readAddress(text)
  return address !== undefined && loopback(address.multiaddr)
}
