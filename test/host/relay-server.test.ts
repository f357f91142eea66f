// What a relay holds for the two whom it joins is bounded, though one sends without end and the other takes nothing: libp2p's own is not.
import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import t from 'tap'
import { loadReach } from '../../node/host/reach.ts'
import { bareNode } from '../network/bare-node.ts'
import { within } from '../network/recorder.ts'

const HOP = '/libp2p/circuit/relay/0.2.0/hop'
const STOP = '/libp2p/circuit/relay/0.2.0/stop'
/** Messages of the relay protocol (its specification's protobuf): a request for a slot, and "yes" to a connection. */
const RESERVE = Uint8Array.of(0x08, 0)
const ACCEPT = Uint8Array.of(0x08, 1, 0x20, 100)
const connectTo = (id: Uint8Array) => Uint8Array.of(0x08, 1, 0x12, id.length + 2, 0x0a, id.length, ...id)

const MiB = 1024 * 1024

t.test('a sender is stopped while the other side reads nothing, and goes on once it does', async (t) => {
  const relay = await bareNode(t, await loadReach(() => true, true))
  const [sender, taker] = [await bareNode(t), await bareNode(t)]
  const [address] = relay.getMultiaddrs()
  const taken = Promise.withResolvers<Stream>()
  await taker.handle(STOP, async (stream) => {
    const messages = lpStream(stream)
    await messages.read()
    await messages.write(ACCEPT)
    messages.unwrap().pause()
    taken.resolve(stream)
  })
  const slot = lpStream(await taker.dialProtocol(address!, HOP))
  await slot.write(RESERVE)
  await slot.read()
  const stream = await sender.dialProtocol(multiaddr(address!.toString()), HOP)
  const messages = lpStream(stream)
  await messages.write(connectTo(taker.peerId.toMultihash().bytes))
  await messages.read()
  messages.unwrap()
  const other = await within('the joined stream', taken.promise)

  // Far more than windows and the system's own buffers hold; libp2p's relay takes all of it.
  const total = 48 * MiB
  const block = new Uint8Array(256 * 1024)
  for (let sent = 0; sent < total; sent += block.length) stream.send(block)
  const waiting = () => stream.writeBufferLength
  // What is on its way arrives: then nothing moves.
  for (let before = -1; before !== waiting(); ) {
    before = waiting()
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  t.ok(total - waiting() < total / 2, `${((total - waiting()) / MiB).toFixed(2)} MiB were taken by the relay`)
  let received = 0
  const all = Promise.withResolvers<void>()
  other.addEventListener('message', ({ data }) => {
    received += data.byteLength
    if (received >= total) all.resolve()
  })
  other.resume()
  await within('all of it', all.promise)
  t.equal(received, total)
})
