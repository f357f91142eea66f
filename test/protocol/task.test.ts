import t from 'tap'
import { sealEnvelope } from '../../protocol/envelope.ts'
import { decodeJoinLine, encodeJoinLine } from '../../protocol/join-line.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodeManifest, parseManifest } from '../../protocol/manifest.ts'
import { openTask, sealTask } from '../../protocol/task.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'
import { manifestOf, taskOf } from '../helpers/task.ts'

t.test('a task opens to its manifest, and its id is the hash of the bytes signed', async (t) => {
  const manifest = manifestOf()
  const task = openTask(sealTask(manifest, signerOf('founder')), { verify: verifier, hash: sha256 })
  t.same(task.manifest, manifest)
  t.same(task.id, sha256(encodeManifest(manifest)))
  t.equal(task.founder, signerOf('founder').peerId)
  t.equal(task.exchanged, 4)
})

t.test('a task that is not the one the join line names is refused', async (t) => {
  const envelope = sealTask(manifestOf(), signerOf('founder'))
  t.throws(() => openTask(envelope, { verify: verifier, hash: sha256, expected: 'ab'.repeat(32) }), { code: 'task-mismatch' })
})

t.test('a task that nobody signed, or that is too large, is refused', async (t) => {
  const founder = signerOf('founder')
  const forged = sealTask(manifestOf(), { ...founder, sign: () => new Uint8Array(64) })
  t.throws(() => openTask(forged, { verify: verifier, hash: sha256 }), { code: 'task-invalid' })
  const huge = sealEnvelope('murmuration-task', new Uint8Array(LIMITS.manifestBytes + 1), founder)
  t.throws(() => openTask(huge, { verify: verifier, hash: sha256 }), { code: 'limit-exceeded' })
})

t.test('manifests that break a rule are refused with one sentence that names the field', async (t) => {
  const parse = (change: object) => () => parseManifest(new TextEncoder().encode(JSON.stringify({ ...manifestOf(), ...change })))
  t.throws(parse({ stop: {} }), { code: 'task-invalid', message: /never ends/ })
  t.throws(parse({ rule: 'guess' }), { code: 'task-invalid', message: /guess/ })
  t.throws(parse({ byzantineShare: 5000 }), { code: 'task-invalid', message: /byzantineShare/ })
  t.throws(parse({ surprise: 1 }), { code: 'task-invalid', message: /surprise/ })
  t.throws(parse({ version: 2 }), { code: 'task-unsupported', message: /version 2/ })
  t.throws(parse({ codec: 'zip' }), { code: 'task-invalid', message: /codec/ })
  t.throws(parse({ codec: 'float16' }), { code: 'task-invalid', message: /maxAbs .1000000. .* float16 .* 65504/ })
  t.doesNotThrow(parse({ codec: 'float16', limits: { maxAbs: 65_504 } }))
  t.throws(parse({ codec: 'int8', limits: { maxAbs: 8_319_009 } }), { code: 'task-invalid', message: /int8 .* 8319008/ })
  t.doesNotThrow(parse({ codec: 'int8', limits: { maxAbs: 8_319_008 } }))
  const layout = [...manifestOf().layout, { name: 'variance', shape: [2], segment: 'stats' as const }]
  const weights = { ...manifestOf().weights, length: 24 }
  t.throws(parse({ codec: 'int8', layout, weights }), { code: 'task-invalid', message: /int8 .* BatchNormalization/ })
  t.doesNotThrow(parse({ layout, weights }))
  const personal = { name: 'own', shape: [2], segment: 'personal' }
  const shared = { name: 'w', shape: [2], segment: 'shared' }
  t.doesNotThrow(parse({ layout: [shared, personal], weights: { hash: '00'.repeat(32), length: 16, codec: 'float32' } }))
  t.throws(parse({ layout: [personal, shared] }), { code: 'task-invalid', message: /shared tensors first/ })
  t.throws(parse({ layout: [{ ...shared, shape: [2 ** 53 - 1, 2 ** 53 - 1] }] }), {
    code: 'task-invalid',
    message: /weights have 16 bytes/,
  })
  t.doesNotThrow(parse({ admission: { mode: 'invite', admins: [signerOf('admin').peerId] } }))
  t.throws(parse({ admission: { mode: 'invite', admins: ['nobody'] } }), { code: 'task-invalid', message: /admins.0/ })
  t.throws(() => parseManifest(new TextEncoder().encode('{')), { code: 'task-invalid' })
  t.throws(() => parseManifest(new TextEncoder().encode('null')), { code: 'task-invalid' })
})

t.test('a join line comes back whole, and any damage is told', async (t) => {
  const line = { task: taskOf().hex, addresses: ['/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWExample'] }
  const text = encodeJoinLine(line, sha256)
  t.same(decodeJoinLine(` ${text}\n`, sha256), line)
  t.throws(() => decodeJoinLine(text.slice(0, -3), sha256), { code: 'bad-join-line', message: /copy the whole line/ })
  const swapped = text.slice(0, 30) + (text[30] === 'A' ? 'B' : 'A') + text.slice(31)
  t.throws(() => decodeJoinLine(swapped, sha256), { code: 'bad-join-line' })
  t.throws(() => decodeJoinLine('murmur2-abc', sha256), { code: 'bad-join-line', message: /murmur2-/ })
  t.throws(() => decodeJoinLine(`murmur1-${'a'.repeat(9999)}`, sha256), { code: 'bad-join-line' })
  t.throws(() => decodeJoinLine('murmur1-%%%', sha256), { code: 'bad-join-line' })
})
