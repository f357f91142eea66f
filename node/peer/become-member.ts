// The joining side of admission: shows the invite or membership of a join line until the network has taken this peer in.
import { setTimeout } from 'node:timers/promises'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { type PeerId, shortId } from '../../protocol/identity.ts'
import {
  decodeJoinResponse,
  encodeJoinRequest,
  JOIN_PROTOCOL,
  NO_PROOF,
  type Proof,
  REFUSALS,
  type Refusal,
  refusalIn,
} from '../../protocol/join.ts'
import type { JoinLine } from '../../protocol/join-line.ts'
import { NONCE_BYTES, sealRedemption } from '../../protocol/membership.ts'
import type { Task } from '../../protocol/task.ts'
import type { Network, Random, Signer } from '../ports.ts'
import { signerOfSeed } from '../store/identity.ts'
import type { Certificate, MemberBook } from './member-book.ts'
import { takeRoster } from './roster.ts'

/** Milliseconds between two requests (strangers are answered once a second), and between two lines that say what is waited for. */
const ASK_MILLIS = 1200
const SAY_MILLIS = 4000

/** What a join line gives this peer to show. `task` is the task's id. */
export function proofOf(line: Pick<JoinLine, 'invite' | 'key' | 'membership'>, task: Uint8Array, signer: Signer, random: Random): Proof {
  const { invite, key, membership = NO_PROOF.membership } = line
  if (invite === undefined || key === undefined) return { ...NO_PROOF, membership }
  const redemption = sealRedemption({ key: signer.publicKey, nonce: random.bytes(NONCE_BYTES) }, task, signerOfSeed(key))
  return { invite, redemption: redemption.envelope, membership }
}

/** What to tell a person whom the network does not let in. */
export function notAdmitted(message: string, self: PeerId): MurmurError {
  const refusal = refusalIn(message)
  const help = `your peer id is ${self}: ask an admin for \`murmur invite --peer ${self}\`, then run the same command with the line you get`
  if (refusal === 'taken-back') {
    return new MurmurError(
      'not-admitted',
      `Not admitted: ${message}, for ever; ask an admin why. Another peer, from an empty directory, would need an invite of its own.`,
    )
  }
  if (refusal === 'no-invite') return new MurmurError('not-admitted', `This network admits by invitation; ${help}.`)
  return new MurmurError(refusal === undefined ? 'not-admitted' : REFUSALS[refusal].code, `Not admitted: ${message}; ${help}.`)
}

/**
 * Asks the peers reached so far, the first of which `contact` waits for, in turn, until one has made this peer a member, for as long as that takes; nothing to do where it is one.
 * @returns the round that the others are in, where it was told
 * @throws not-admitted, invite-spent once all who were reached have refused for good; cancelled
 */
export async function becomeMember(
  proof: Proof,
  reached: readonly PeerId[],
  contact: Promise<unknown>,
  parts: { network: Network; task: Task; book: MemberBook; signal: AbortSignal; onProgress: (text: string) => void },
): Promise<number | undefined> {
  const { network, task, book, signal, onProgress } = parts
  if (proof.membership.length > 0) book.take({ kind: 'membership', envelope: proof.membership })
  if (book.isMember(network.self)) return undefined
  if (book.revoked().has(network.self)) throw notAdmitted(REFUSALS['taken-back'].text, network.self)
  await contact
  const refused = new Set<PeerId>()
  let [said, hasSaid] = [performance.now(), false]
  for (let asked = 0; !book.isMember(network.self); asked++) {
    const peer = reached[asked % Math.max(1, reached.length)] ?? ''
    let why: string
    let refusal: Refusal | undefined
    try {
      const answer = decodeJoinResponse(await network.request(peer, JOIN_PROTOCOL, encodeJoinRequest(task.id, proof), { signal }))
      if (answer === 'malformed') throw new MurmurError('peer-refused', 'the answer makes no sense')
      takeRoster(book, answer.roster)
      book.take({ kind: 'membership', envelope: answer.membership })
      if (book.isMember(network.self)) {
        await book.flush()
        return answer.round
      }
      const shown: Certificate = { kind: 'membership', envelope: proof.membership }
      const isOut = book.revoked().has(network.self) || (proof.membership.length > 0 && book.take(shown) === 'revoked')
      throw new MurmurError('peer-refused', isOut ? REFUSALS['taken-back'].text : 'the answer holds no membership that counts')
    } catch (error) {
      if (!isMurmurError(error) || error.code === 'cancelled') throw error
      why = error.message
      refusal = refusalIn(why)
      if (refusal !== undefined && REFUSALS[refusal].final) refused.add(peer)
      // One that lies cannot keep this peer out as long as another has not answered.
      if (refused.size > 0 && reached.every((each) => refused.has(each))) throw notAdmitted(why, network.self)
    }
    // What only passes by waiting is said at once; a peer that is merely busy is no news.
    if (performance.now() - said >= (refusal !== undefined && !hasSaid ? 0 : SAY_MILLIS)) {
      hasSaid = true
      said = performance.now()
      onProgress(`Not a member yet (asked …${shortId(peer)}: ${why.replace(/\.$/, '')}); asking again ...`)
    }
    await setTimeout(ASK_MILLIS, undefined, { signal }).catch(() => {
      throw new MurmurError('cancelled', 'Joining was stopped on request.')
    })
  }
  return undefined
}
