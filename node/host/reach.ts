// What a peer needs to be reached from afar: relays, direct connections in their place where a router allows, and being told which of its
// addresses others can dial. Loaded only where there is an afar.
import type { Libp2pOptions } from 'libp2p'
import { MurmurError } from '../../protocol/errors.ts'
import { type Allowed, type Components, membersOnly, override } from './members-only.ts'
import { portMapping } from './port-mapping.ts'

export interface Reach {
  transports: NonNullable<Libp2pOptions['transports']>
  services: NonNullable<Libp2pOptions['services']>
  /** Of the node that was made with these. */
  components(): Components
}

/** Relayed connections to us at a time, through one relay. */
const RELAYED = 64

/** @param relays whether this peer relays for others @param upnp whether to have the router open a port */
export async function loadReach(allowed: Allowed, relays: boolean, upnp = false): Promise<Reach> {
  const [{ circuitRelayTransport }, { dcutr }, { autoNAT }, { relayServer }, mapping] = await Promise.all([
    import('@libp2p/circuit-relay-v2'),
    import('@libp2p/dcutr'),
    import('@libp2p/autonat'),
    import('./relay-server.ts'),
    upnp ? portMapping() : undefined,
  ])
  let made: Components | undefined
  return {
    components() {
      if (made === undefined) throw new MurmurError('internal', 'The components of a node were asked for before it was made.')
      return made
    },
    transports: [
      (components) =>
        circuitRelayTransport({ maxInboundStopStreams: RELAYED, maxOutboundStopStreams: RELAYED })(
          membersOnly(components as Components, allowed),
        ),
    ],
    services: {
      reach: (components) => {
        made = components
        return {}
      },
      dcutr: (components) => dcutr()(membersOnly(components, allowed)),
      autonat: (components) => autoNAT()(dialsAnew(membersOnly(components, allowed))),
      ...(relays && { relay: (components: Components) => relayServer(components, allowed) }),
      ...(mapping && { mapping }),
    },
  }
}

/** AutoNAT is to find out whether a peer can be dialled; without `force` libp2p hands it the connection that is there, which it then closes. */
function dialsAnew(components: Components): Components {
  const { connectionManager } = components
  const forced: typeof connectionManager = Object.create(connectionManager)
  forced.openConnection = (target, options) => connectionManager.openConnection(target, { ...options, force: true })
  return override(components, { connectionManager: forced })
}
