// Vectors of task manifests and join lines.
import { flipped, hexOf, joined, sealed, sha256, signerOf, unsigned, utf8, type VectorFile } from './kit.ts'

type Json = Record<string, unknown>

const BOM = Uint8Array.of(0xef, 0xbb, 0xbf)
/** Characters of the longest join line. */
const LINE_LENGTH = 4096

/** Every field that has no default. */
const LEAST = {
  version: 1,
  name: 'vectors',
  nonce: '5e'.repeat(32),
  model: { hash: 'aa'.repeat(32), length: 1000, codec: 'onnx', name: 'tiny' },
  weights: { hash: 'bb'.repeat(32), length: 44, codec: 'float32' },
  layout: [
    { name: 'w', shape: [2, 3], segment: 'shared' },
    { name: 'b', shape: [3], segment: 'shared' },
    { name: 'mean', shape: [], segment: 'stats' },
    { name: 'head', shape: [1], segment: 'personal' },
  ],
  loss: { kind: 'cross-entropy' },
  optimizer: { kind: 'sgd', learningRate: 0.05 },
  work: { batchSize: 32, steps: 100 },
  rule: 'nnm | trimmed-mean',
  byzantineShare: 2000,
  codec: 'float32',
  pace: { minPeers: 4, staleness: 2, gatherMinSeconds: 2, gatherMaxSeconds: 60, absentAfterSeconds: 3600 },
  stop: { rounds: 100 },
  admission: { mode: 'open' },
  limits: { maxAbs: 1e6 },
  weighting: 'none',
  privacy: { mode: 'none' },
  data: { input: { dtype: 'uint8', shape: [1, 28, 28] }, target: { kind: 'class', size: 10 } },
  testTask: false,
} satisfies Json

export function tasks(): VectorFile {
  const given = (why: string, manifest: Json | string) => ({
    why,
    manifest: typeof manifest === 'string' ? manifest : JSON.stringify(manifest),
  })
  const valid = (why: string, manifest: Json | string) => {
    const one = given(why, manifest)
    const id = hexOf(sha256(utf8(one.manifest)))
    const envelope = hexOf(sealed('murmuration-task', utf8(one.manifest), 'founder'))
    return { ...one, envelope, gives: { id, founder: signerOf('founder').peerId, topic: `/murmuration/1/${id}`, shared: 9, exchanged: 10 } }
  }
  const refused = (why: string, manifest: Json | string, code = 'task-invalid') => ({ ...given(why, manifest), refused: code })
  const bare = (why: string, envelope: Uint8Array, code: string) => ({ why, envelope: hexOf(envelope), refused: code })
  const text = JSON.stringify(LEAST)
  return {
    about:
      "Tasks: the manifest's text and the founder's envelope around it in; id (SHA-256 of the text's bytes), founder, topic and the numbers of shared and of exchanged parameters out.",
    cases: [
      valid('every field that has no default', LEAST),
      valid('the same in other bytes is another task', JSON.stringify(LEAST, null, 1)),
      valid('a rule with a share of 0', { ...LEAST, byzantineShare: 0, rule: 'mean' }),
      valid('halves, bounded by what they can carry', { ...LEAST, codec: 'float16', limits: { maxAbs: 65_504 } }),
      valid('by invitation, with an admin', { ...LEAST, admission: { mode: 'invite', admins: [signerOf('admin').peerId] } }),
      valid('no end, as the founder wrote', { ...LEAST, stop: { never: true } }),
      refused('not JSON', `${text} `.slice(1)),
      refused('no object', '[]'),
      refused('an unknown key', { ...LEAST, colour: 'red' }),
      refused('an unknown key further down', { ...LEAST, work: { ...LEAST.work, hours: 1 } }),
      refused('a later version, whatever else it holds', { version: 2 }, 'task-unsupported'),
      refused('version 0', { ...LEAST, version: 0 }),
      refused('a field is missing', Object.fromEntries(Object.entries(LEAST).filter(([key]) => key !== 'codec'))),
      refused('a control character in the name', { ...LEAST, name: 'a\u001b[2J' }),
      refused('a hash in upper case', { ...LEAST, nonce: 'AB'.repeat(32) }),
      refused('half of the members malicious', { ...LEAST, byzantineShare: 5000 }),
      refused('a rule that does not exist', { ...LEAST, rule: 'krum-of-the-future' }),
      refused('a bound above what halves can carry', { ...LEAST, codec: 'float16' }),
      refused('running statistics as int8', { ...LEAST, codec: 'int8' }),
      refused('an admin that is no peer id', { ...LEAST, admission: { mode: 'invite', admins: ['admin'] } }),
      refused('a codec that does not exist', { ...LEAST, codec: 'zip' }),
      refused('weights that are not float32', { ...LEAST, weights: { ...LEAST.weights, codec: 'int8' } }, 'task-unsupported'),
      refused('no end', { ...LEAST, stop: {} }),
      refused('a least time to gather above the most', { ...LEAST, pace: { ...LEAST.pace, gatherMinSeconds: 61 } }),
      refused('a tensor twice', { ...LEAST, layout: [...LEAST.layout, ...LEAST.layout] }),
      refused('weights of another size', { ...LEAST, weights: { ...LEAST.weights, length: 48 } }),
      refused('more parameters than numbers can count', {
        ...LEAST,
        layout: [{ name: 'w', shape: [2 ** 53 - 1, 2 ** 53 - 1], segment: 'shared' }],
      }),
      refused('segments out of order', { ...LEAST, layout: LEAST.layout.toReversed() }),
      refused('a bound that is infinite: JSON has no such number', text.replace('"maxAbs":1000000', '"maxAbs":1e999')),
      refused('averaging by sample counts', { ...LEAST, weighting: 'samples' }, 'task-unsupported'),
      bare('not UTF-8', sealed('murmuration-task', joined(utf8(text), Uint8Array.of(0xff)), 'founder'), 'task-invalid'),
      bare('a byte order mark before it', sealed('murmuration-task', joined(BOM, utf8(text)), 'founder'), 'task-invalid'),
      bare('unsigned', unsigned('murmuration-task', utf8(text), 'founder'), 'task-invalid'),
      bare('one bit changed', flipped(sealed('murmuration-task', utf8(text), 'founder'), 100), 'task-invalid'),
      bare('signed for another domain', sealed('murmuration-update', utf8(text), 'founder'), 'task-invalid'),
    ],
  }
}

/** A line of any JSON, or of any bytes, with its checksum. */
function lineOf(json: Json | Uint8Array): string {
  const body = json instanceof Uint8Array ? json : utf8(JSON.stringify(json))
  return `murmur1-${base64url(joined(sha256(body).subarray(0, 4), body))}`
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')

export function joinLines(): VectorFile {
  const task = hexOf(sha256(utf8('a task')))
  const addresses = [`/ip4/192.0.2.7/tcp/4001/p2p/${signerOf('alice').peerId}`]
  const [certificate, seed] = [utf8('an envelope, unopened'), sha256(utf8('invite'))]
  const valid = (why: string, json: Json, gives: Json = json) => ({ why, line: lineOf(json), gives })
  const refused = (why: string, line: string | Json) => ({
    why,
    line: typeof line === 'string' ? line : lineOf(line),
    refused: 'bad-join-line',
  })
  const good = lineOf({ task, addresses })
  return {
    about: 'Join lines: text in; task, addresses and, as hex, what makes its holder a member out.',
    cases: [
      valid('one address', { task, addresses }),
      valid('four addresses', { task, addresses: [...addresses, ...['a', 'b', 'c'].map((name) => `/dns4/${name}.example/tcp/443`)] }),
      valid(
        'an invite and the seed of its key',
        { task, addresses, invite: base64url(certificate), key: base64url(seed) },
        { task, addresses, invite: hexOf(certificate), key: hexOf(seed) },
      ),
      valid('a membership', { task, addresses, membership: base64url(certificate) }, { task, addresses, membership: hexOf(certificate) }),
      { ...valid('white space around it', { task, addresses }), line: `  ${good}\n` },
      refused(
        'a character changed',
        good.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      ),
      refused('cut off', good.slice(0, -3)),
      refused('of a later version', good.replace('murmur1-', 'murmur2-')),
      refused('a character that base64url does not have', `${good}!`),
      refused('five addresses', { task, addresses: ['a', 'b', 'c', 'd', 'e'] }),
      refused('no address', { task, addresses: [] }),
      refused('an unknown field', { task, addresses, colour: 'red' }),
      refused('a task of 31 bytes', { task: task.slice(2), addresses }),
      refused('an invite without its key', { task, addresses, invite: base64url(certificate) }),
      refused('a key without its invite', { task, addresses, key: base64url(seed) }),
      refused('a seed of 31 bytes', { task, addresses, invite: base64url(certificate), key: base64url(seed.subarray(1)) }),
      refused('a byte order mark', lineOf(joined(BOM, utf8(JSON.stringify({ task, addresses }))))),
      refused(
        'not UTF-8',
        lineOf(Uint8Array.from(utf8(JSON.stringify({ task, addresses: ['/ip4/~'] })), (byte) => (byte === 0x7e ? 0xff : byte))),
      ),
      refused('too long', `murmur1-${'A'.repeat(LINE_LENGTH)}`),
      refused('nothing after the version', 'murmur1-'),
    ],
  }
}
