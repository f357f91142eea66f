// A network of members in virtual time with what the lab's bus leaves out: only connected members hear each other, gossip goes along
// gossipsub's mesh, and who is dialled must be at the address that is dialled. It counts bytes; dialling is the product's.
import { createDiscovery } from '../../../node/host/discovery.ts'
import type { Clock, Network } from '../../../node/ports.ts'
import type { PeerId } from '../../../protocol/identity.ts'

/** Milliseconds that a message takes. */
const HOP_MILLIS = 50
/** Until a dial into the void is given up, of the last address, and of one before it: as `node/host/links.ts`. */
const VOID_MILLIS = 6000
const ONE_OF_MANY_MILLIS = 3000
/** Connections that a member seeks: as `node/host/discovery.ts`. */
const CONNECTIONS = 32
/** Neighbours that gossipsub sends each message on to: below the first it seeks more, above the last it takes no more. */
const MESH = 6
const MOST_MESH = 12
/** Besides it tells a quarter of its other neighbours, but 6 at least, of each message, at three heartbeats in a row: its id and framing. */
const TOLD_SHARE = 0.25
const LEAST_TOLD = 6
const HEARTBEATS = 3
const ID_BYTES = 34

export interface Member {
  self: PeerId
  network: Network
  links: Set<Member>
  mesh: Set<Member>
  /** What it tells; at the first one it can be dialled. Empty: it is down. */
  addresses: string[]
  /** True where the message is news to it. */
  gossip(message: Uint8Array): boolean
  onLink(peer: PeerId): void
  learn(peer: PeerId, addresses: readonly string[]): void
  stopDialling(): void
  /** Dials so far. */
  dials: number
}

export interface Overlay {
  /** Bytes received by all members together. */
  bytes: { gossip: number; requests: number; responses: number }
  add(self: PeerId, addresses: string[]): Member
  /** As when a network has been running for a while: everyone has dialled until it had enough. */
  linkAll(): void
  /** Its connections end, and it can be dialled at these from now on. */
  move(member: Member, addresses: string[]): void
  /** Lets it dial whomever it learns of, as a process that has just started. */
  dialFrom(member: Member): void
}

export function createOverlay(clock: Clock, random: () => number): Overlay {
  const members = new Map<PeerId, Member>()
  const at = new Map<string, Member>()
  const bytes = { gossip: 0, requests: 0, responses: 0 }

  const wait = (millis: number) => new Promise<void>((resolve) => void clock.after(millis, resolve))

  function link(a: Member, b: Member): void {
    if (a === b || a.links.has(b)) return
    a.links.add(b)
    b.links.add(a)
    graft(a, b)
    for (const [one, other] of [[a, b] as const, [b, a] as const]) clock.after(0, () => one.links.has(other) && one.onLink(other.self))
  }

  function graft(a: Member, b: Member): void {
    if ((a.mesh.size >= MESH && b.mesh.size >= MESH) || a.mesh.size >= MOST_MESH || b.mesh.size >= MOST_MESH) return
    a.mesh.add(b)
    b.mesh.add(a)
  }

  function unlink(member: Member): void {
    for (const other of member.links) {
      other.links.delete(member)
      if (other.mesh.delete(member)) for (const next of other.links) graft(other, next)
    }
    member.links.clear()
    member.mesh.clear()
  }

  /** The publisher sends to all its neighbours, everyone else along the mesh. */
  function spread(publisher: Member, message: Uint8Array): void {
    const have = new Set([publisher])
    const receive = (from: Member, to: Member) => {
      if (!to.links.has(from) || !to.gossip(message)) return
      send(
        to,
        [...to.mesh].filter((next) => next !== from),
      )
      const told = Math.max(LEAST_TOLD, Math.ceil(TOLD_SHARE * (to.links.size - to.mesh.size)))
      bytes.gossip += HEARTBEATS * told * ID_BYTES
    }
    const send = (from: Member, targets: Iterable<Member>) => {
      for (const to of targets) {
        bytes.gossip += message.length
        if (have.has(to)) continue
        have.add(to)
        clock.after(HOP_MILLIS, () => receive(from, to))
      }
    }
    send(publisher, publisher.links)
  }

  /** Those of the port's functions that an address book and a state exchange use. */
  function networkOf(self: PeerId, own: () => Member): { network: Network; handlers: Map<string, Parameters<Network['serve']>[1]> } {
    const handlers = new Map<string, Parameters<Network['serve']>[1]>()
    const linked = () => [...own().links].map((other) => other.self)
    const network: Pick<Network, 'self' | 'addresses' | 'peers' | 'connections' | 'publish' | 'request' | 'serve' | 'learn' | 'blame'> = {
      self,
      addresses: () => own().addresses,
      peers: linked,
      connections: linked,
      async publish(_, message) {
        spread(own(), message)
        return own().links.size
      },
      async request(peer, protocol, body) {
        bytes.requests += body.length
        await wait(HOP_MILLIS)
        const other = members.get(peer)
        const answer = servedBy.get(peer)?.get(protocol)
        if (other === undefined || answer === undefined || !own().links.has(other)) throw new Error('not connected')
        const answered = await answer(body, self)
        const response = answered instanceof Uint8Array ? answered : Buffer.concat(answered.parts)
        await wait(HOP_MILLIS)
        bytes.responses += response.length
        return response
      },
      serve: (protocol, handler) => void handlers.set(protocol, handler),
      learn: (peer, addresses) => own().learn(peer, addresses),
      blame(peer) {
        throw new Error(`${self} holds something against ${peer}; nobody here has done anything wrong`)
      },
    }
    return { network: network as Network, handlers }
  }
  const servedBy = new Map<PeerId, Map<string, Parameters<Network['serve']>[1]>>()

  async function dial(from: Member, peer: PeerId, addresses: readonly string[]): Promise<void> {
    from.dials++
    for (const [i, address] of addresses.entries()) {
      const to = at.get(address)
      if (to?.self === peer) {
        await wait(2 * HOP_MILLIS)
        return link(from, to)
      }
      await wait(i + 1 < addresses.length ? ONE_OF_MANY_MILLIS : VOID_MILLIS)
    }
    throw new Error('nobody is there')
  }

  return {
    bytes,
    add(self, addresses) {
      const { network, handlers } = networkOf(self, () => member)
      const member: Member = {
        self,
        network,
        links: new Set(),
        mesh: new Set(),
        addresses,
        gossip: () => false,
        onLink() {},
        learn() {},
        stopDialling() {},
        dials: 0,
      }
      members.set(self, member)
      servedBy.set(self, handlers)
      for (const address of addresses.slice(0, 1)) at.set(address, member)
      return member
    },
    linkAll() {
      const all = [...members.values()]
      for (const member of all) {
        while (member.links.size < Math.min(CONNECTIONS, all.length - 1)) link(member, all[Math.floor(random() * all.length)] ?? member)
      }
    },
    move(member, addresses) {
      unlink(member)
      member.stopDialling()
      for (const address of member.addresses.slice(0, 1)) at.delete(address)
      member.addresses = addresses
      for (const address of addresses.slice(0, 1)) at.set(address, member)
    },
    dialFrom(member) {
      const stopping = new AbortController()
      const discovery = createDiscovery({
        self: member.self,
        clock,
        random,
        signal: stopping.signal,
        connections: () => [...member.links].map((other) => other.self),
        dial: (peer, addresses) =>
          dial(
            member,
            peer,
            addresses.map(({ multiaddr }) => multiaddr.toString()),
          ),
      })
      member.learn = discovery.learn
      member.stopDialling = () => {
        stopping.abort()
        member.learn = () => {}
      }
      discovery.start()
    },
  }
}
