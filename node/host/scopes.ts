// How far away an address is: on this machine, in a network that the machine is part of, in another private network, or in the internet.
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'
import { isLoopback, isPrivate } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'

/** A larger number is farther: who was dialled from there can be dialled from all that is nearer, as far as anyone can tell. */
export const SCOPES = { machine: 0, network: 1, elsewhere: 2, internet: 3 } as const
export type Scope = (typeof SCOPES)[keyof typeof SCOPES]
export type ScopeOf = (address: Multiaddr) => Scope

/** Names that only a local network knows: of containers, and of mDNS. */
const LOCAL_NAME = /^[^.]+$|\.(local|lan|internal|home\.arpa)$/i

/** As the interfaces of this machine are now. The first hop counts: of a relayed address, the relay. */
export function readScopes(): ScopeOf {
  const networks = new BlockList()
  for (const each of Object.values(interfaces()).flat()) {
    const prefix = Number(each?.cidr?.split('/')[1])
    if (each === undefined || each.internal || Number.isNaN(prefix)) continue
    networks.addSubnet(each.address, prefix, each.family === 'IPv6' ? 'ipv6' : 'ipv4')
  }
  return (address) => {
    if (loopback(address)) return SCOPES.machine
    const { name, value = '' } = address.getComponents()[0] ?? { name: '' }
    if (name.startsWith('dns')) return LOCAL_NAME.test(value) ? SCOPES.network : SCOPES.internet
    if (networks.check(value, name === 'ip6' ? 'ipv6' : 'ipv4')) return SCOPES.network
    return isPrivate(address) ? SCOPES.elsewhere : SCOPES.internet
  }
}

export function loopback(address: Multiaddr): boolean {
  const name = address.getComponents()[0]
  return name?.name.startsWith('dns') ? name.value === 'localhost' : isLoopback(address)
}

/** None where the system does not say: too many files are open, or it has no memory left. All other networks then count as far. */
export function interfaces(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces()
  } catch {
    return {}
  }
}
