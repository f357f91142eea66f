// Before anything is signed: does another process run with this identity, and have others seen newer rounds of it than this directory knows?
// Two that sign different updates for one round look like a cheat, and the network shuts their identity out for good.
import { MurmurError } from '../../protocol/errors.ts'
import { type PeerId, shortId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { PeerParts } from './parts.ts'

/** Members asked while nobody says that there is a twin; once someone does, all are asked. */
const ASKED = 3
/** Milliseconds between two looks for a member to ask. */
const LOOK_MILLIS = 250
/** Milliseconds for which a peer that needs no other looks for one. */
const ALONE_MILLIS = 3000
/** Milliseconds for which another process is given to end, and between two questions: a restart may overlap with what it replaces. */
const TWIN_MILLIS = 30_000
const AGAIN_MILLIS = 3000

export interface TwinCheck {
  /** Whether there is anything that a copy of the directory could sign twice: it was used before. */
  isResuming: boolean
  /** Also takes in the newest own record that the member knows. */
  isTwin(peer: PeerId): Promise<boolean>
  /** Members that may lie. */
  liars(): number
  /** Says what is waited for. */
  tell(what: string, untilMillis?: number): void
  signal: AbortSignal
}

/**
 * `twinCheck` false: the user is sure that there is no other; what members know of newer rounds still counts.
 * Resolves once it is safe to sign: members say that this identity runs once; or nobody is there, and what was never used has no twin, and
 * who needs no other goes on alone. @throws identity-twin
 */
export async function awaitNoTwin(
  { network, members, clock, task, twinCheck = true }: PeerParts,
  { isResuming, isTwin, liars, tell, signal }: TwinCheck,
): Promise<void> {
  const pause = (millis: number) => new Promise<void>((done) => void clock.after(millis, done))
  const present = () => network.connections().filter((peer) => members.isMember(peer))
  const aloneAt = clock.now() + ALONE_MILLIS
  const needsOthers = task.manifest.pace.minPeers > 1
  /** Who did not answer: asked again once all others were. */
  let mute: readonly PeerId[] = []
  let twinUntil: number | undefined

  while (!signal.aborted) {
    const others = present().filter((peer) => !mute.includes(peer))
    const asked = others.slice(0, twinUntil === undefined ? ASKED : LIMITS.fullView)
    const answers = await Promise.all(asked.map(async (peer) => ({ peer, isTwin: await isTwin(peer).catch(() => undefined) })))
    const heard = answers.filter(({ isTwin }) => isTwin !== undefined)
    const claiming = heard.flatMap(({ peer, isTwin }) => (isTwin ? [peer] : []))
    if (heard.length > 0 && (claiming.length === 0 || !twinCheck)) return
    if (claiming.length > 0) {
      twinUntil ??= clock.now() + TWIN_MILLIS
      if (clock.now() >= twinUntil) {
        // Never on the word of those who may lie, as long as others say that there is none.
        if (claiming.length > liars() || claiming.length === heard.length) throw twin(claiming, heard.length)
        return
      }
      tell(`another process with the identity of this peer to end (${named(claiming)} can see one)`, twinUntil - clock.now())
      await pause(AGAIN_MILLIS)
      continue
    }
    mute = asked.length > 0 ? [...mute, ...asked] : []
    if (asked.length > 0) continue
    if (!isResuming || (!needsOthers && clock.now() >= aloneAt)) return
    tell('a member to say whether this peer runs elsewhere, or ran on from an older state', needsOthers ? undefined : aloneAt - clock.now())
    await pause(LOOK_MILLIS)
  }
}

/** Members named in a sentence. */
const NAMED = 3

const named = (peers: readonly PeerId[]): string =>
  peers
    .slice(0, NAMED)
    .map((peer) => `…${shortId(peer)}`)
    .join(', ') + (peers.length > NAMED ? ` and ${peers.length - NAMED} more` : '')

/** Who is alone with one that lies would never start again: people can know better, and say so. */
const twin = (claiming: readonly PeerId[], heard: number): MurmurError =>
  new MurmurError(
    'identity-twin',
    `Another process runs with the identity of this peer, perhaps from a copy of its directory: ${named(claiming)} can see it (${claiming.length} of ${heard} members asked). Stop one of them; to run two peers, join with an empty directory. Only if you are sure that no other runs, start this one with --no-twin-check: were there one, the network would shut both out for good.`,
  )
