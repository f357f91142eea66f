// A port of the router's, opened by UPnP where the user asks for it. Loaded only then.
import type { Clock } from '../ports.ts'
import type { Components } from './members-only.ts'

/** Milliseconds in which a router that has UPnP is found and has opened a port: libp2p searches for 5 s, and waits for 5 s more. */
const FOUND_MILLIS = 30_000

export async function portMapping(): Promise<(components: Components) => unknown> {
  const { uPnPNAT } = await import('@libp2p/upnp-nat')
  // The router's word is enough: peers of a small network are too few for AutoNAT to confirm an address.
  return uPnPNAT({ portMappingDescription: 'Murmuration', autoConfirmAddress: true })
}

/** Says once, if so, that no port was opened; libp2p itself goes on searching in silence. */
export function tellIfUnmapped(
  { addressManager }: { addressManager: Pick<Components['addressManager'], 'getAddressesWithMetadata'> },
  clock: Clock,
  tell: (message: string) => void,
): () => void {
  return clock.after(FOUND_MILLIS, () => {
    if (addressManager.getAddressesWithMetadata().some(({ type }) => type === 'ip-mapping')) return
    tell(
      'No router has opened a port by UPnP: it has none, has it switched off, or has no public address itself. Forward a port by hand and give it with --announce, or rely on relays; the search goes on.',
    )
  })
}
