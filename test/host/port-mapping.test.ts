// A port that the router opens: that it did not is said, once.
import { multiaddr } from '@multiformats/multiaddr'
import t from 'tap'
import { tellIfUnmapped } from '../../node/host/port-mapping.ts'
import { createVirtualClock } from '../../node/lab/virtual-clock.ts'

const address = (type: 'transport' | 'ip-mapping') => ({
  multiaddr: multiaddr('/ip4/203.0.113.5/tcp/4001'),
  verified: true,
  expires: 0,
  type,
})

t.test('no port opened is said once, with what to do; one that is, and one of a peer that stops, is not', async (t) => {
  const clock = createVirtualClock()
  const said: string[] = []
  const watch = (name: string, type: 'transport' | 'ip-mapping') =>
    tellIfUnmapped({ addressManager: { getAddressesWithMetadata: () => [address(type)] } }, clock, (message) =>
      said.push(`${name}: ${message}`),
    )
  watch('unmapped', 'transport')
  watch('mapped', 'ip-mapping')
  watch('stopped', 'transport')()
  await clock.advance(300_000)
  t.equal(said.length, 1)
  t.match(said[0], /^unmapped: .*--announce/)
})
