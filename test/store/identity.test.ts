import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { publicKeyFromProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import t from 'tap'
import { loadOrCreateIdentity } from '../../node/store/identity.ts'
import { createVerifier } from '../../node/store/verify.ts'
import { signerOf } from '../helpers/keys.ts'

const message = new TextEncoder().encode('a message')

t.test('a directory gets one key, for its owner only, and keeps it', async (t) => {
  const dir = t.testdir()
  const first = await loadOrCreateIdentity(dir)
  t.equal((await stat(join(dir, 'identity.key'))).mode & 0o777, 0o600)
  const second = await loadOrCreateIdentity(dir)
  t.equal(second.signer.peerId, first.signer.peerId)
  t.strictSame(second.privateKey.raw, first.privateKey.raw)
})

t.test('two that create a key at once get the same', async (t) => {
  const dir = t.testdir()
  const made = await Promise.all(Array.from({ length: 5 }, () => loadOrCreateIdentity(dir)))
  t.equal(new Set(made.map(({ signer }) => signer.peerId)).size, 1)
})

t.test("the signer is libp2p's: same id, same signature, verified by either side", async (t) => {
  const { privateKey, signer } = await loadOrCreateIdentity(t.testdir())
  t.equal(signer.peerId, peerIdFromPrivateKey(privateKey).toString())
  t.equal(signer.publicKey.length, 36)
  const signature = signer.sign(message)
  t.strictSame(signature, new Uint8Array(await privateKey.sign(message)), 'Ed25519 signatures are deterministic')
  t.ok(await publicKeyFromProtobuf(signer.publicKey).verify(message, signature))
  t.ok(createVerifier()(signer.publicKey, message, signature))
})

t.test('a damaged key is told in one sentence and never replaced', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'identity.key')
  await loadOrCreateIdentity(dir)
  const key = await readFile(path)
  const damaged = [Buffer.alloc(0), key.subarray(0, 30), Buffer.from('hello'), Buffer.alloc(68)]
  for (const at of [5, 20, 40, 60]) damaged.push(Buffer.from(key.map((byte, i) => (i === at ? byte ^ 1 : byte))))
  for (const bytes of damaged) {
    await writeFile(path, bytes)
    await t.rejects(loadOrCreateIdentity(dir), { code: 'directory-invalid', message: `${path} is not an Ed25519 key` })
    t.strictSame(await readFile(path), bytes)
  }
})

t.test('a verifier takes only the right key, message and signature, whatever else it is given', async (t) => {
  const verify = createVerifier()
  const [alice, bob] = [signerOf('alice'), signerOf('bob')]
  const signature = alice.sign(message)
  t.ok(verify(alice.publicKey, message, signature))
  t.notOk(verify(bob.publicKey, message, signature))
  t.notOk(verify(alice.publicKey, message.subarray(1), signature))
  for (const bad of [signature.subarray(1), new Uint8Array(), new Uint8Array(64), new Uint8Array(65)])
    t.notOk(verify(alice.publicKey, message, bad))
  for (const key of [new Uint8Array(), new Uint8Array(36), alice.publicKey.subarray(1), Uint8Array.of(...alice.publicKey, 0)]) {
    t.notOk(verify(key, message, signature))
  }
})

t.test('more keys than a verifier keeps are still verified', async (t) => {
  const verify = createVerifier(2)
  const signers = ['a', 'b', 'c', 'd'].map(signerOf)
  for (let round = 0; round < 3; round++) {
    for (const { publicKey, sign } of signers) t.ok(verify(publicKey, message, sign(message)))
  }
})
