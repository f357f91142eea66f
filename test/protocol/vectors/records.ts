// Checks of vectors of everything that is signed, or leads to it, many against libp2p's own implementation too.
import { createHash } from 'node:crypto'
import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { RecordEnvelope } from '@libp2p/peer-record'
import type { Test } from 'tap'
import { openAddresses } from '../../../protocol/addresses.ts'
import { type Domain, openEnvelope } from '../../../protocol/envelope.ts'
import { decodeGossip, gossipId } from '../../../protocol/gossip.ts'
import { decodeJoinLine } from '../../../protocol/join-line.ts'
import { parseManifest } from '../../../protocol/manifest.ts'
import { openInvite, openMembership, openRedemption, openRevocation } from '../../../protocol/membership.ts'
import { decodeSigned, digestOf } from '../../../protocol/signed.ts'
import { standingOf } from '../../../protocol/standing.ts'
import { openTask, topicOf } from '../../../protocol/task.ts'
import { inlineFits, openEvidence, openUpdate, type UpdateRules } from '../../../protocol/update.ts'
import { file_protocol_wire as wire } from '../../../protocol/wire_pb.ts'
import { bytes, type Case, type Check, hex, inHex, sha256, verifier } from './kit.ts'

const rulesOf = ({ task, codec, length }: Case): UpdateRules => ({ task: bytes(task), codec, length, verify: verifier })

/** libp2p's own implementation opens it too, and finds the same. */
async function certified(t: Test, envelope: string, domain: Domain, author: string, payload?: string): Promise<void> {
  const opened = await RecordEnvelope.openAndCertify(bytes(envelope), domain)
  t.equal(peerIdText(opened.publicKey.raw), author)
  if (payload !== undefined) t.equal(hex(opened.payload), payload)
}

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** The peer id of a raw Ed25519 key, written down from libp2p's specification: base58btc of 00 24 08 01 12 20 and the key. */
function peerIdText(raw: Uint8Array): string {
  let rest = BigInt(`0x002408011220${hex(raw)}`)
  let text = ''
  for (; rest > 0n; rest /= 58n) text = BASE58[Number(rest % 58n)] + text
  return `1${text}`
}

/** Runs `act`, which throws a MurmurError, and says its code. */
function codeOf(act: () => unknown): unknown {
  try {
    return act()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}

/** Certificates: the fields that a case names are as it says, and no others are there. */
const certificate =
  (domain: Domain, open: (envelope: Uint8Array, rules: { task: Uint8Array; verify: typeof verifier }) => object | string): Check =>
  async (t, { task, envelope, gives, refused }) => {
    const opened = open(bytes(envelope), { task: bytes(task), verify: verifier })
    if (typeof opened === 'string') {
      t.equal(opened, refused)
      return
    }
    const { key, envelope: kept, ...rest } = inHex(opened)
    t.same(rest, gives)
    t.equal(kept, envelope, 'kept as received')
    t.equal(peerIdText(bytes(key as string).subarray(4)), gives.subject)
    await certified(t, envelope, domain, gives.issuer)
  }

export const RECORD_CHECKS: Record<string, Check> = {
  async keys(t, { name, seed, publicKey, peer }) {
    t.equal(seed, createHash('sha256').update(name).digest('hex'))
    const key = await generateKeyPairFromSeed('Ed25519', bytes(seed))
    t.equal(peerIdFromPrivateKey(key).toString(), peer)
    t.equal(hex(key.publicKey.raw), publicKey.slice(8))
    t.equal(peerIdText(key.publicKey.raw), peer)
  },
  async envelope(t, { domain, envelope, gives, refused }) {
    const opened = openEnvelope(bytes(envelope), domain, verifier)
    if (typeof opened === 'string') {
      t.equal(opened, refused)
      return
    }
    t.same({ author: opened.author, payload: hex(opened.payload) }, { author: gives?.author, payload: gives?.payload })
    await certified(t, envelope, domain, gives.author, gives.payload)
    const [signature, key] = [bytes(envelope).subarray(-64), bytes(envelope).subarray(2, 38)]
    t.ok(verifier(key, bytes(gives.signedText), signature), 'the signature covers the text given')
  },
  async task(t, { manifest, envelope, gives, refused }) {
    if (envelope === undefined) {
      t.equal(codeOf(() => parseManifest(new TextEncoder().encode(manifest))) as string, refused)
      return
    }
    const open = () => openTask(bytes(envelope), { verify: verifier, hash: sha256 })
    if (refused !== undefined) {
      t.equal(codeOf(open) as string, refused)
      return
    }
    const task = open()
    const { hex: id, founder, shared, exchanged } = task
    t.same({ id, founder, topic: topicOf(task), shared, exchanged }, gives)
    await certified(t, envelope, 'murmuration-task', gives.founder, Buffer.from(manifest).toString('hex'))
    t.equal(id, createHash('sha256').update(manifest).digest('hex'))
    const other = 'f'.repeat(64)
    t.equal(codeOf(() => openTask(bytes(envelope), { verify: verifier, hash: sha256, expected: other })) as string, 'task-mismatch')
  },
  'join-line'(t, { line, gives, refused }) {
    const read = codeOf(() => decodeJoinLine(line, sha256))
    t.same(typeof read === 'object' && read !== null ? inHex(read) : read, refused ?? gives)
    if (gives === undefined) return
    const packed = Buffer.from(line.trim().slice('murmur1-'.length), 'base64url')
    const { task, addresses, ...secrets } = JSON.parse(packed.subarray(4).toString())
    const decoded = Object.entries(secrets).map(([key, value]) => [key, Buffer.from(String(value), 'base64url').toString('hex')])
    t.same({ task, addresses, ...Object.fromEntries(decoded) }, gives)
    t.equal(hex(packed.subarray(0, 4)), hex(sha256(packed.subarray(4))).slice(0, 8))
  },
  async update(t, { rules, record, gives, refused }) {
    const update = openUpdate(bytes(record), rulesOf(rules))
    if (typeof update === 'string') {
      t.equal(update, refused)
      return
    }
    const { envelope, signed, payload, ...rest } = update
    t.same({ ...rest, signed: hex(signed), payload: { ...payload, hash: hex(payload.hash) } }, gives)
    t.equal(hex(envelope), record, 'kept as received')
    await certified(t, record, 'murmuration-update', gives.author, gives.signed)
  },
  gossip(t, { message, id, gives, refused, rules, inlineFits: fits }) {
    const decoded = decodeGossip(bytes(message))
    if (typeof decoded === 'string') t.equal(decoded, refused)
    else t.same(inHex(decoded), gives)
    t.equal(hex(gossipId(bytes(message), sha256)), id)
    if (rules === undefined) return
    const update = openUpdate(bytes(gives.record), rulesOf(rules))
    t.ok(typeof update === 'object' && inlineFits(update, bytes(gives.inline), sha256) === fits)
  },
  evidence(t, { rules, first, second, gives, refused }) {
    const opened = openEvidence(bytes(first), bytes(second), rulesOf(rules))
    if (typeof opened === 'string') t.equal(opened, refused)
    else for (const { author, round } of opened) t.same({ author, round }, gives)
  },
  signed(t, { signed, gives, ignored, digest }) {
    const record = decodeSigned(bytes(signed))
    if (record === undefined) {
      t.equal(ignored, true)
      return
    }
    t.same(inHex(record), gives)
    t.equal(hex(digestOf(record, sha256)), digest)
    t.equal(digest, hex(sha256(bytes(signed))).slice(0, 16))
  },
  requests(t, { message, bytes: encoded, gives }) {
    const schema = wire.messages.find(({ name }) => name === message)!
    const decoded = fromBinary(schema, bytes(encoded))
    t.same(toJson(schema, decoded), gives)
    t.equal(hex(toBinary(schema, fromJson(schema, gives))), encoded)
  },
  membership: certificate('murmuration-membership', openMembership),
  revocation: certificate('murmuration-revocation', openRevocation),
  invite: certificate('murmuration-invite', openInvite),
  redemption: certificate('murmuration-redemption', openRedemption),
  chain(t, { task, founder, admins, now, memberships, revocations, gives }) {
    const rules = { task: bytes(task), verify: verifier }
    const all = <V>(open: (envelope: Uint8Array, of: typeof rules) => V | string, list: string[]): V[] =>
      list.map((envelope) => open(bytes(envelope), rules)).filter((opened): opened is Exclude<V, string> & V => typeof opened !== 'string')
    const held = { memberships: all(openMembership, memberships), revocations: all(openRevocation, revocations) }
    t.equal(held.memberships.length + held.revocations.length, memberships.length + revocations.length)
    const turned = { memberships: held.memberships.toReversed(), revocations: held.revocations.toReversed() }
    for (const one of [held, turned]) {
      const { members, revoked } = standingOf(one, { founder, admins }, now)
      t.same(Object.fromEntries([...members].map(([peer, { role }]) => [peer, role])), gives.members)
      t.same([...revoked].sort(), gives.revoked.toSorted())
    }
  },
  async addresses(t, { task, envelope, gives, refused }) {
    const opened = openAddresses(bytes(envelope), bytes(task), verifier)
    if (typeof opened === 'string') {
      t.equal(opened, refused)
      return
    }
    const { envelope: kept, ...rest } = opened
    t.same(rest, gives)
    t.equal(hex(kept), envelope, 'kept as received')
    await certified(t, envelope, 'murmuration-addresses', gives.author)
  },
}
