// Connections that end at a bad moment: the process lives, and what ran over one of two goes on over the other.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { multiaddrConnectionPair } from '@libp2p/utils'
import t from 'tap'
import { moveOver } from '../../node/host/links.ts'
import { quietYamux } from '../../node/host/quiet-yamux.ts'
import { bareNode } from '../network/bare-node.ts'
import { createWatch } from '../network/recorder.ts'

const TOPIC = '/murmuration/1/links'

t.test('a stream that is opened on a connection that has just closed fails by itself, not the process', async (t) => {
  const [connection] = multiaddrConnectionPair()
  connection.send = () => {
    throw Object.assign(new Error('Cannot write to a stream that is closed'), { name: 'StreamStateError' })
  }
  const muxer = quietYamux()().createStreamMuxer(connection)
  const stream = await muxer.createStream()
  // Its first frame is sent in between, where nobody waits for it.
  await nextTurn()
  stream.abort(new Error('the connection has closed'))
  t.equal(stream.status, 'aborted')
})

t.test('where one of two connections to a peer closes, gossip moves over to the other', async (t) => {
  const [a, b] = [await bareNode(t), await bareNode(t)]
  const { changed, until } = createWatch()
  const heard: string[] = []
  for (const node of [a, b]) {
    node.addEventListener('connection:close', ({ detail }) => moveOver(node, detail))
    node.services.gossip.subscribe(TOPIC)
    node.services.gossip.addEventListener('subscription-change', changed)
  }
  b.services.gossip.addEventListener('message', ({ detail }) => {
    heard.push(new TextDecoder().decode(detail.data))
    changed()
  })
  const first = await a.dial(b.getMultiaddrs()[0]!)
  const streams = () => first.streams.filter(({ protocol }) => a.services.gossip.protocols.includes(protocol))
  const timer = setInterval(changed, 20)
  t.teardown(() => clearInterval(timer))
  await until('gossip on the first', () => streams().length === 2)
  let identified = 0
  for (const node of [a, b]) {
    node.addEventListener('peer:identify', () => {
      identified++
      changed()
    })
  }
  const second = await a.dial(b.getMultiaddrs()[0]!, { force: true })
  await until('both know the second', () => identified === 2)
  t.not(second.id, first.id)
  await first.close()
  const gossips = () => second.streams.filter(({ protocol }) => a.services.gossip.protocols.includes(protocol)).length === 2
  await until('gossip on the second', gossips)
  await until('the subscription', () => a.services.gossip.getSubscribers(TOPIC).length > 0)
  await a.services.gossip.publish(TOPIC, new TextEncoder().encode('m1'))
  await until('the message', () => heard.includes('m1'))
})
