// Judges what neighbours hand over by gossip: what costs little is looked at first, and the signature last, so that a flood costs little.
import { readEnvelope } from '../../protocol/envelope.ts'
import { decodeGossip, type GossipMessage, gossipId } from '../../protocol/gossip.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { REJECTIONS, type RejectionCode } from '../../protocol/rejections.ts'
import { inlineFits, readUpdate, settleUpdate, type UpdateClaim } from '../../protocol/update.ts'
import type { Verdict } from '../ports.ts'
import { createFloodGuard } from './flood-guard.ts'
import type { About, Inbox, Taken } from './inbox.ts'
import type { Loop } from './loop.ts'
import type { PeerParts } from './parts.ts'

export interface Validator {
  /** Judges a gossip message that a neighbour has handed over. */
  validate(message: Uint8Array, from: PeerId): Verdict | Promise<Verdict>
  /** What duplicates are told by. */
  messageId(message: Uint8Array): Uint8Array
}

type Announcement = Extract<GossipMessage, { type: 'announcement' }>
type Certificate = Extract<GossipMessage, { envelope: Uint8Array }>

const judge = (taken: Taken): Verdict => (taken === 'new' ? 'accept' : taken === 'known' ? 'ignore' : REJECTIONS[taken].verdict)

/** Once `stopping` is aborted nothing is taken in any more. */
export function createValidator(parts: PeerParts, loop: Loop, inbox: Inbox, stopping: AbortSignal): Validator {
  const { network, members, task, clock, hash, verify, verifyElsewhere } = parts
  const { rules, takeUpdate, takeOther } = inbox
  const guard = createFloodGuard(clock)
  /** What was decoded for its id, until it is judged. */
  const decoded = new WeakMap<Uint8Array, GossipMessage | RejectionCode>()

  const refuse = (code: RejectionCode, about: About): Verdict => judge(inbox.refuse(code, about))

  /** Anyone can make keys, so in an open network a member is someone only once it has announced something. */
  const isSomebody = (author: PeerId) => members.isMember(author) && (members.mode === 'invite' || loop.state().members.has(author))

  function validateAnnouncement({ record, inline, membership }: Announcement, from: PeerId): Verdict | Promise<Verdict> {
    const claim = readUpdate(record, rules)
    if (typeof claim === 'string') return refuse(claim, { from })
    const { author, round } = claim.update
    const about = { from, author, round }
    if (author !== network.self && !isSomebody(author)) {
      if (!guard.takeStrange(from)) return refuse('flood', about)
      // Who passed it on may know the author and have had no need to look at what rides along: it is not to blame for that.
      if (membership.length > 0 && !members.isMember(author)) members.take({ kind: 'membership', envelope: membership })
      if (!members.isMember(author)) return refuse('not-a-member', about)
    }
    if (!guard.takePassedOn(from, author)) return refuse('flood', about)
    const code = loop.refusalOf(claim.update)
    if (code !== undefined && guard.takeUnproven(from)) return refuse(code, about)
    if (code === undefined && !guard.hasRoom(author)) return refuse('too-often', about)
    if (verifyElsewhere === undefined) return settle(claim, inline, verify(...claim.proof), about)
    return verifyElsewhere(...claim.proof).then((isSigned) => settle(claim, inline, isSigned, about))
  }

  /** Judges once the signature is checked. */
  function settle(claim: UpdateClaim, inline: Uint8Array, isSigned: boolean, about: About & { from: PeerId }): Verdict {
    if (stopping.aborted) return 'ignore'
    const update = settleUpdate(claim, isSigned)
    if (update === 'bad-signature') return refuse(update, { from: about.from })
    if (typeof update === 'string') return refuse(update, about)
    // Much may have happened meanwhile.
    const code = loop.refusalOf(update)
    if (code !== undefined) return refuse(code, about)
    if (!guard.takeSigned(update.author)) return refuse('too-often', about)
    if (inline.length === 0 || inlineFits(update, inline, hash))
      return judge(takeUpdate(update, about, inline.length > 0 ? inline : undefined))
    // The record is good and its payload can still be pulled; only the messenger is at fault.
    takeUpdate(update, about)
    return refuse('bad-inline', about)
  }

  function validateCertificate({ type: kind, envelope }: Certificate, from: PeerId): Verdict {
    const claim = readEnvelope(envelope, `murmuration-${kind}`)
    // What is wrong with it comes with its reason below; no member can have signed it.
    const signer = typeof claim === 'string' ? undefined : claim.author
    const isKnown = signer !== undefined && (isSomebody(signer) || signer === task.founder || members.roleOf(signer) !== undefined)
    if (!isKnown && !guard.takeStrange(from)) return refuse('flood', { from })
    if (isKnown && !guard.takePassedOn(from, signer)) return refuse('flood', { from })
    if (isKnown && !guard.hasRoom(signer)) return refuse('too-often', { from, author: signer })
    const taken = takeOther({ kind, envelope }, { from }, 'gossip')
    if (isKnown && taken === 'new') guard.takeSigned(signer)
    return judge(taken)
  }

  return {
    validate(message, from) {
      const known = decoded.get(message) ?? decodeGossip(message)
      decoded.delete(message)
      if (typeof known === 'string') return refuse(known !== 'wrong-version' || guard.takeStrange(from) ? known : 'flood', { from })
      if (known.type === 'announcement') return validateAnnouncement(known, from)
      if (known.type !== 'evidence') return validateCertificate(known, from)
      // One of each member is passed on, so no honest neighbour ever has more than the guard lets by.
      if (!guard.takeStrange(from)) return refuse('flood', { from })
      return judge(takeOther({ kind: 'evidence', first: known.first, second: known.second }, { from }, 'gossip'))
    },
    messageId(message) {
      const content = decodeGossip(message)
      decoded.set(message, content)
      return gossipId(message, hash, content)
    },
  }
}
