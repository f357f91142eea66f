// libp2p's identify, for members as it is. Strangers are not told where else this machine listens: its addresses in a clinic's or a home's
// network are nothing to them, and the one that they dialled they know.
import { AsyncLocalStorage } from 'node:async_hooks'
import { type Identify, identify } from '@libp2p/identify'
import { type Allowed, type Components, membersOnly, override } from './members-only.ts'

export const discreetIdentify =
  (isStranger: Allowed) =>
  (components: Components): Identify => {
    const answersStranger = new AsyncLocalStorage<boolean>()
    const addressManager: typeof components.addressManager = Object.create(components.addressManager)
    addressManager.getAddresses = () => (answersStranger.getStore() ? [] : components.addressManager.getAddresses())
    const noted = membersOnly(
      components,
      () => true,
      (handler) => (stream, connection) => answersStranger.run(isStranger(connection.remotePeer), () => handler(stream, connection)),
    )
    return identify()(override(noted, { addressManager }))
  }
