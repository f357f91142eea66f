// libp2p's own services answer everyone who connects. Made with these components they answer whom we let in, and nobody else.
import type { PeerId as Libp2pPeerId, StreamHandler } from '@libp2p/interface'
import type { Libp2pOptions } from 'libp2p'

/** What libp2p hands to each of its services. */
export type Components = Parameters<NonNullable<Libp2pOptions['services']>[string]>[0]

export type Allowed = (peer: Libp2pPeerId) => boolean

/** The same components, whose registrar puts a check ahead of every handler. `wrap` may do more around one. */
export function membersOnly(
  components: Components,
  allowed: Allowed,
  wrap: (handler: StreamHandler) => StreamHandler = (same) => same,
): Components {
  const { registrar } = components
  const checked: typeof registrar = Object.create(registrar)
  checked.handle = (protocol, handler, options) => {
    const inner = wrap(handler)
    const outer: StreamHandler = (stream, connection) => {
      if (allowed(connection.remotePeer)) return inner(stream, connection)
      stream.abort(new Error('only members are answered'))
    }
    return registrar.handle(protocol, outer, options)
  }
  return override(components, { registrar: checked })
}

export const override = (components: Components, changed: Partial<Components>): Components =>
  Object.create(components, Object.getOwnPropertyDescriptors(changed))
