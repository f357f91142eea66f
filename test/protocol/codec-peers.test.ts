// Whole peers with a codec that loses precision.
import t from 'tap'
import { createAggregator } from '../../node/peer/aggregator.ts'
import { int8 } from '../../protocol/codec/int8.ts'
import { keepAlive } from '../helpers/alive.ts'
import { busNetwork } from '../helpers/bus-peers.ts'

keepAlive(t)

const SIZE = 300
const pace = { minPeers: 2, staleness: 2, gatherMinSeconds: 0.2, gatherMaxSeconds: 5, absentAfterSeconds: 3600 }

t.test('an author, like all others, aggregates what its update decodes to', async (t) => {
  const network = busNetwork({ codec: 'int8', limits: { maxAbs: 1000 }, pace, byzantineShare: 0, stop: { rounds: 2 } }, SIZE)
  const owns: Float32Array[] = []
  const aggregator = createAggregator()
  const watched: typeof aggregator = {
    ...aggregator,
    aggregate(request) {
      if (request.own !== undefined) owns.push(Float32Array.from(request.own))
      return aggregator.aggregate(request)
    },
  }
  // Values that int8 does not carry exactly.
  const initial = Float32Array.from({ length: SIZE }, (_, i) => Math.sin(i) / 3)
  const peers = await Promise.all([network.add('a', { aggregator: watched, initial }), network.add('b')])
  await Promise.all(peers.map((peer) => peer.event('finished')))
  const [first] = peers
  t.match(await first.event('published'), { bytes: int8.encodedLength(SIZE) })
  t.match(await first.event('received'), { bytes: int8.encodedLength(SIZE) })
  // The first round brings the own model half way to the first peer's goal, which is 0.
  const trained = initial.map((x) => x / 2)
  t.same({ values: owns[0] }, int8.decode(int8.encode(trained), SIZE, 1000))
  t.notSame(owns[0], trained)
  await Promise.all(peers.map((peer) => peer.stop()))
  await aggregator.stop()
})
