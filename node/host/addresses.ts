// Addresses of peers: what people and other peers hand us is checked before it is dialled; what we tell others can be dialled.
import { peerIdFromString } from '@libp2p/peer-id'
import { isLinkLocal, isPrivate } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { interfaces, loopback, SCOPES, type ScopeOf } from './scopes.ts'

const HOSTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])
/** What may follow the port: WebSockets, also in TLS; and then whose it is, or through which relay whose. */
const ENDINGS = /^((ws|wss|tls ws)( |$))?(p2p( p2p-circuit p2p)?)?$/

export interface Address {
  multiaddr: Multiaddr
  /** Absent where the address does not say whose it is. */
  peer: PeerId | undefined
  /** It leads through a relay. */
  relayed: boolean
}

/**
 * An address this program can dial: `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT[/ws|/wss|/tls/ws][/p2p/ID[/p2p-circuit/p2p/ID]]`.
 * Undefined for anything else.
 */
export function readAddress(text: string): Address | undefined {
  try {
    const address = multiaddr(text)
    const [host, port, ...more] = address.getComponents()
    if (host === undefined || !HOSTS.has(host.name) || port?.name !== 'tcp' || Number(port.value) === 0) return undefined
    if (!ENDINGS.test(more.map(({ name }) => name).join(' '))) return undefined
    const ids = more.filter(({ name }) => name === 'p2p').map(({ value = '' }) => peerIdFromString(value).toString())
    return { multiaddr: address, peer: ids.at(-1), relayed: ids.length > 1 }
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
    `"${text.slice(0, LIMITS.addressBytes)}" is not an address that can be dialled; one has the form /ip4/203.0.113.5/tcp/4001/p2p/12D3KooW….`,
  )
}

/** An address from another peer: short, of a known kind, and saying whose it is. */
export function readPeerAddress(text: unknown): (Address & { text: string; peer: PeerId }) | undefined {
  if (typeof text !== 'string' || text.length > LIMITS.addressBytes) return undefined
  const address = readAddress(text)
  return address?.peer === undefined ? undefined : { ...address, text, peer: address.peer }
}

/** Addresses of one kind that are told: machines with many networks have many, and a list is short. Two relays take four. */
const EACH_KIND = 4

/**
 * Complete addresses, the most reachable first: those announced as they were given, public ones, those of the local network, those through a
 * relay, and loopback ones last, which only help on the same machine. None that means "any interface", or that needs one to be named.
 */
export function rankAddresses(
  self: PeerId,
  announced: readonly string[],
  listening: readonly Multiaddr[],
  relayed: readonly Multiaddr[] = [],
): string[] {
  const direct = listening.filter((address) => !isLinkLocal(address) && !/^\/ip4\/0\.0\.0\.0\/|^\/ip6\/::\//.test(address.toString()))
  const rank = (address: Multiaddr) =>
    loopback(address) ? 3 : address.toString().includes('/p2p-circuit') ? 2 : isPrivate(address) ? 1 : 0
  const complete = (text: string) => (text.endsWith(`/p2p/${self}`) ? text : `${text}/p2p/${self}`)
  const kinds: string[][] = [[], [], [], []]
  for (const address of [...direct, ...relayed]) {
    const kind = kinds[rank(address)]!
    const text = complete(address.toString())
    if (kind.length < EACH_KIND && !kind.includes(text)) kind.push(text)
  }
  return [...new Set([...announced.map(complete), ...kinds.flat()])]
}

/**
 * The order in which a peer's addresses are tried: the near ones first, relayed ones last. Loopback ones lead to this machine, so they are used
 * only where there are no others: then the peer can be nowhere else.
 */
export function dialOrder(addresses: readonly Address[], scopeOf: ScopeOf): Address[] {
  const elsewhere = addresses.filter(({ multiaddr }) => scopeOf(multiaddr) !== SCOPES.machine)
  const order = [SCOPES.network, SCOPES.internet, SCOPES.elsewhere, SCOPES.machine] as number[]
  const rank = ({ multiaddr, relayed }: Address) => order.indexOf(scopeOf(multiaddr)) + (relayed ? order.length : 0)
  return [...(elsewhere.length > 0 ? elsewhere : addresses)].sort((a, b) => rank(a) - rank(b))
}

/** True for a complete address that leads only to the machine it is used on. */
export const isLocalAddress = (text: string): boolean => {
  const address = readAddress(text)
  return address !== undefined && loopback(address.multiaddr)
}

/**
 * What to listen on the next time: where any port would do, the one there is now by `addresses`, those of this peer. Others than its own
 * interfaces' do not count: announced, mapped and relayed ones have ports of other machines.
 */
export function keepPorts(listen: readonly string[], addresses: readonly string[]): string[] {
  const own = new Set(Object.values(interfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)))
  const ports = addresses.flatMap((text) => {
    const [, host = '', port = '', ws] = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)(\/ws)?\/p2p\/[^/]+$/.exec(text) ?? []
    return own.has(host) ? [{ host, port, isWs: ws !== undefined }] : []
  })
  const taken = new Set<string>()
  return listen.map((text) => {
    const [, wanted = '', ws] = /^\/ip[46]\/([^/]+)\/tcp\/0(\/ws)?$/.exec(text.trim()) ?? []
    const fits = (host: string) => wanted === host || wanted === '0.0.0.0' || wanted === '::'
    const port = ports.find((each) => fits(each.host) && each.isWs === (ws !== undefined) && !taken.has(each.port))?.port
    if (wanted === '' || port === undefined) return text
    taken.add(port)
    return text.replace('/tcp/0', `/tcp/${port}`)
  })
}
