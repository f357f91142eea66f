import t from 'tap'

t.setTimeout(300_000)

import { startPeer, startReviving } from './libp2p-peers.ts'
import { record } from './recorder.ts'

const TOPIC = '/x'
for (let i = 0; i < 30; i++)
  t.test(`again ${i}`, async (t) => {
    const bootstrap = await startPeer(t, { discovery: true })
    await record(bootstrap, TOPIC)
    const stays = await record(await startPeer(t, { discovery: true }), TOPIC)
    const restarts = await startReviving(t, { discovery: true })
    await record(restarts.network, TOPIC)
    await Promise.all([stays.network, restarts.network].map((network) => network.connect(bootstrap.addresses()[0]!)))
    const witness = await record(await startPeer(t, { discovery: true }), TOPIC)
    await witness.network.connect(stays.network.addresses()[0]!)
    await witness.peer(restarts.network.self)
    t.comment('met')
    await Promise.all([bootstrap.stop(), witness.network.stop()])
    await restarts.network.stop()
    await stays.gone(restarts.network.self)
    t.comment(`gone ${performance.now()} stays ${stays.network.self.slice(-4)} restarts ${restarts.network.self.slice(-4)}`)
    stays.peerEvents.length = 0
    await record(await restarts.revive(), TOPIC)
    await stays.peer(restarts.network.self)
  })
