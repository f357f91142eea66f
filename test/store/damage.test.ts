// Files of a peer's directory, changed, cut and filled with anything: what is read is what was written, or it is refused in one sentence.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { privateKeyToProtobuf } from '@libp2p/crypto/keys'
import fc from 'fast-check'
import t from 'tap'
import { readConfig } from '../../node/peer/directory.ts'
import { openInvites } from '../../node/peer/invites.ts'
import { openCheckpoints } from '../../node/store/checkpoints.ts'
import { loadIdentity, loadOrCreateIdentity } from '../../node/store/identity.ts'
import { openObjects } from '../../node/store/objects.ts'
import { isMurmurError } from '../../protocol/errors.ts'
import { openInvite, sealInvite } from '../../protocol/membership.ts'
import { hashList, payloadRoot } from '../../protocol/payload.ts'
import { hexOf } from '../../protocol/task.ts'
import { hostile } from '../helpers/hostile-bytes.ts'
import { sha256, signerOf, verifier } from '../helpers/keys.ts'

const RUNS = { numRuns: 150, seed: 4 }
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const [founder, subject] = [signerOf('founder'), signerOf('invite')]
const rules = { task: sha256(utf8('task')), verify: verifier }

/** `read` says whether what it found is right; a refusal must be of one of `codes`. */
async function damaged(valid: readonly Uint8Array[], codes: readonly string[], read: (bytes: Uint8Array) => Promise<boolean>) {
  await fc.assert(
    fc.asyncProperty(hostile(valid), async (bytes) => {
      try {
        return await read(bytes)
      } catch (error) {
        if (!isMurmurError(error) || !codes.includes(error.code)) throw error
        return /^[^\p{C}]+$/u.test(error.message)
      }
    }),
    RUNS,
  )
}

t.test('a key is the one that was made, or none', async (t) => {
  const dir = t.testdir()
  const { privateKey, signer } = await loadOrCreateIdentity(dir)
  await damaged([privateKeyToProtobuf(privateKey)], ['directory-invalid'], async (bytes) => {
    await writeFile(join(dir, 'founder.key'), bytes)
    return (await loadIdentity(dir, 'founder.key'))?.signer.peerId === signer.peerId
  })
})

t.test('a checkpoint has the numbers that were saved, whatever becomes of its file or of what names it', async (t) => {
  const dir = t.testdir()
  const params = Float32Array.of(1, 2, 3, 4)
  const layout = [{ name: 'w', shape: [4], offset: 0, segment: 'shared' as const }]
  const checkpoints = openCheckpoints(dir, { layout, onWarning: () => {} })
  await checkpoints.save({ round: 3, stage: 'trained', steps: 30, params, optimizer: Float32Array.of(5) })
  for (const name of await readdir(dir)) {
    const good = new Uint8Array(await readFile(join(dir, name)))
    await damaged([good], ['directory-invalid'], async (bytes) => {
      await writeFile(join(dir, name), bytes)
      const found = await checkpoints.load()
      return found?.params.join() === params.join() && found.optimizer.join() === '5'
    })
    await writeFile(join(dir, name), good)
  }
})

t.test('an object is the payload, or not there; of a part nothing counts that is not', async (t) => {
  const dir = t.testdir()
  const payload = Uint8Array.from({ length: 700 }, (_, i) => i & 255)
  const root = hexOf(payloadRoot(payload, sha256))
  await mkdir(join(dir, 'objects'))
  await damaged([payload], [], async (bytes) => {
    await writeFile(join(dir, 'objects', root), bytes)
    const found = await (await openObjects(dir)).getObject(root)
    return found === undefined || Buffer.compare(found, payload) === 0
  })
  await damaged([payload, Buffer.concat([payload, hashList(payload, sha256)])], [], async (bytes) => {
    await writeFile(join(dir, 'objects', `${root}.part`), bytes)
    const part = await (await openObjects(dir)).openPart(root, payload.length)
    await part.leave()
    return part.payload.length === payload.length && (part.chunks.size === 0 || Buffer.compare(part.payload, payload) === 0)
  })
})

t.test('of invites each counts as it was signed, with the uses that were written', async () => {
  const { envelope } = sealInvite({ key: subject.publicKey, role: 'peer', uses: 3 }, rules.task, founder)
  const opened = openInvite(envelope, rules)
  if (typeof opened === 'string') throw new Error(opened)
  let stored: Uint8Array | undefined
  const store = {
    async saveDocument(_: string, bytes: Uint8Array) {
      stored = bytes
    },
    loadDocument: async () => stored,
  }
  const invites = await openInvites(store, rules, () => false)
  await invites.add(opened, new Uint8Array(32))
  await invites.use(invites.find(opened.subject)!, founder.peerId, new Uint8Array(4))
  await damaged([stored!], ['directory-invalid'], async (bytes) => {
    stored = bytes
    const found = (await openInvites(store, rules, () => false)).find(opened.subject)
    return found === undefined || found.invite.uses === 3
  })
})

t.test('murmur.yaml is keys and values, or refused with what is wrong', async (t) => {
  const dir = t.testdir()
  const bomb = Array.from(
    { length: 12 },
    (_, i) =>
      `k${i}: &a${i} [${
        i === 0
          ? 'x'
          : Array(9)
              .fill(`*a${i - 1}`)
              .join()
      }]`,
  ).join('\n')
  await damaged([utf8('data: mnist\nlisten:\n  - /ip4/0.0.0.0/tcp/0\nthreads: 2\n'), utf8(bomb)], ['bad-config'], async (bytes) => {
    await writeFile(join(dir, 'murmur.yaml'), bytes)
    const { values } = await readConfig(dir)
    return typeof values === 'object' && values !== null
  })
})
