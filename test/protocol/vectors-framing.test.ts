// The framing vectors, byte for byte on real streams: a bare libp2p node that knows nothing of our code is one side of each exchange.

import { readFileSync } from 'node:fs'
import { noise } from '@chainsafe/libp2p-noise'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { byteStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import t, { type Test } from 'tap'
import { MurmurError } from '../../protocol/errors.ts'
import { startPeer } from '../network/libp2p-peers.ts'

interface Case {
  why: string
  body: string
  request: string
  response?: string
  refusal?: string
  reply: string
}

const { cases } = JSON.parse(readFileSync(new URL('../../protocol/vectors/framing.json', import.meta.url), 'utf8')) as { cases: Case[] }
const PROTOCOL = '/murmuration/vectors/1'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

async function bareNode(t: Test) {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  })
  t.teardown(() => node.stop())
  return node
}

const read = async (stream: Stream, length: number): Promise<string> =>
  hex((await byteStream(stream).read({ bytes: length, signal: AbortSignal.timeout(20_000) })).subarray())

t.test('what is asked in the bytes of the vectors is answered in the bytes of the vectors', async (t) => {
  const peer = await startPeer(t)
  peer.serve(PROTOCOL, async (body) => {
    const { response, refusal } = cases.find((one) => one.body === hex(body))!
    if (response === undefined) throw new MurmurError('peer-refused', refusal!)
    return bytes(response)
  })
  const node = await bareNode(t)
  for (const { why, request, reply } of cases) {
    const stream = await node.dialProtocol(multiaddr(peer.addresses()[0]), PROTOCOL)
    stream.send(bytes(request))
    t.equal(await read(stream, reply.length / 2), reply, why)
    await stream.close()
  }
  const stream = await node.dialProtocol(multiaddr(peer.addresses()[0]), PROTOCOL)
  for (const { why, request, reply } of cases) {
    stream.send(bytes(request))
    t.equal(await read(stream, reply.length / 2), reply, `${why}, on the same stream`)
  }
  stream.abort(new Error('done'))
})

t.test('we ask in the bytes of the vectors and read their replies', async (t) => {
  const node = await bareNode(t)
  const requests: string[] = []
  await node.handle(PROTOCOL, async (stream) => {
    const { request, reply } = cases[requests.length]!
    requests.push(await read(stream, request.length / 2))
    stream.send(bytes(reply))
    await stream.close()
  })
  const peer = await startPeer(t)
  const id = await peer.connect(node.getMultiaddrs()[0]!.toString())
  for (const { why, body, response, refusal } of cases) {
    const answer = peer.request(id, PROTOCOL, bytes(body), { timeout: 20_000 })
    if (response !== undefined) t.equal(hex(await answer), response, why)
    else await t.rejects(answer, { code: 'peer-refused', message: new RegExp(refusal!) }, why)
  }
  t.same(
    requests,
    cases.map(({ request }) => request),
  )
})
