// `murmur invite`, `murmur peers`, `murmur revoke`: who takes part, asked of the running peer through its control socket.
import Table from 'cli-table3'
import { MurmurError } from '../../protocol/errors.ts'
import { shortId } from '../../protocol/identity.ts'
import { decodeJoinLine, isJoinLine } from '../../protocol/join-line.ts'
import type { PeersAnswer, RevokeAnswer } from '../peer/methods.ts'
import { sha256 } from '../sha256.ts'
import { ask } from './ask.ts'
import { confirmed, isTerminal } from './confirm.ts'
import { ago, until } from './format.ts'

type Given = Record<string, unknown>

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 }
/** Seconds of a hundred years: a longer time is a slip of the keyboard. */
const LONGEST = 36_525 * 86_400

/** Seconds of a time like 90s, 30m, 12h or 7d; undefined for "never". @throws bad-argument */
function secondsOf(flag: string, text: unknown): number | undefined {
  if (text === undefined || text === 'never') return undefined
  const [, count, unit] = /^(\d+)([smhd])$/.exec(String(text)) ?? []
  const seconds = Number(count) * UNITS[unit as keyof typeof UNITS]
  if (seconds >= 1 && seconds <= LONGEST) return seconds
  throw new MurmurError('bad-argument', `${flag} cannot be "${String(text)}": give a time such as 12h or 7d, or never.`)
}

export async function inviteCommand(dir: string, given: Given): Promise<void> {
  const { uses, role, peer, json } = given
  if (peer !== undefined && uses !== undefined) {
    throw new MurmurError('bad-argument', '--peer makes one peer a member: --uses is for invites that anyone may bring.')
  }
  const memberSeconds = secondsOf('--member-for', given.memberFor)
  const expires = secondsOf('--expires', given.expires ?? '7d')
  const expiresAt = expires === undefined || peer !== undefined ? undefined : Math.floor(Date.now() / 1000) + expires
  const params = {
    ...{ role, peer, memberSeconds, expiresAt },
    ...(uses !== undefined && { uses: Number(uses) }),
  }
  const asked = ask<{ joinLine: string }>(dir, 'invite', params)
  const { joinLine } = await asked.catch(async (error: unknown) => {
    if (!(error instanceof MurmurError) || error.code !== 'not-running' || peer === undefined) throw error
    // Nobody need be online to make a peer a member.
    const { admitOffline } = await import('../peer/offline.ts')
    return admitOffline(dir, { peer: String(peer), role: role === 'admin' ? 'admin' : 'peer', memberSeconds })
  })
  if (joinLine === '') {
    throw new MurmurError(
      'peer-unreachable',
      'No address is known at which this network can be reached; connect this peer, or set --announce.',
    )
  }
  if (json) console.log(JSON.stringify({ joinLine }))
  else console.log(joinLine)
}

export async function peersCommand(dir: string, { json }: { json?: boolean }): Promise<void> {
  const answer = await ask<PeersAnswer>(dir, 'peers')
  if (json) {
    console.log(JSON.stringify(answer))
    return
  }
  const { self, mode, role, members, revoked } = answer
  const table = new Table({ head: ['peer', 'role', 'connected', 'round', 'last seen', 'expires', ''], style: { head: [], border: [] } })
  table.push([`…${shortId(self)}`, role ?? 'peer', 'this peer', '', '', '', ''])
  for (const { peer, role, connected, round, seenSecondsAgo, expiresAt, shutOut } of members) {
    if (revoked.includes(peer)) continue
    const note = shutOut ? 'shut out: signed two updates for one round' : ''
    const seen = connected ? 'now' : seenSecondsAgo === undefined ? 'never' : ago(seenSecondsAgo)
    table.push([`…${shortId(peer)}`, role, connected ? 'yes' : 'no', round === 0 ? '' : String(round), seen, until(expiresAt), note])
  }
  for (const peer of revoked) table.push([`…${shortId(peer)}`, '', '', '', '', '', 'revoked (a peer or an invite)'])
  console.log(table.toString())
  console.log(
    mode === 'open'
      ? 'Admission is open: anyone who has the join line may take part.'
      : 'Admission is by invitation: murmur invite, murmur revoke.',
  )
}

export async function revokeCommand(dir: string, target: string, given: Given): Promise<void> {
  const { members, restore, json } = given
  const where = isJoinLine(target) ? inviteIn(target) : { peer: target }
  if (members && !('invite' in where)) throw new MurmurError('bad-argument', '--members is for an invite: it revokes those who came by it.')
  const params = {
    ...where,
    ...(members !== undefined && { members }),
    ...(restore !== undefined && { restore }),
  }
  if (!given.yes && !json && isTerminal()) {
    for (const line of following(await ask<RevokeAnswer>(dir, 'consequences', params), 'would be')) console.log(line)
    if (!(await confirmed('Go on? There is no way back. [y/N] ', false))) {
      throw new MurmurError('cancelled', 'Nobody was revoked.')
    }
  }
  const answer = await ask<RevokeAnswer>(dir, 'revoke', params)
  if (json) console.log(JSON.stringify(answer))
  else for (const line of following(answer, 'is')) console.log(line)
}

/** What a revocation does, or would do, in words. */
function following({ revoked, ended, back }: RevokeAnswer, verb: 'is' | 'would be'): string[] {
  const list = (peers: readonly string[]) => peers.map((peer) => `…${shortId(peer)}`).join(', ')
  const would = verb === 'would be'
  return [
    `${list(revoked)} ${would ? verb : revoked.length === 1 ? 'is' : 'are'} revoked, for ever${would ? '' : '; all members are told'}.`,
    ...(ended.length === 0 ? [] : [`With that ${would ? 'would end' : 'end'} the memberships signed there, of ${list(ended)}.`]),
    ...(back.length === 0 ? [] : [`No more revoked ${would ? 'would be' : 'are'}: ${list(back)}.`]),
  ]
}

/** What a join line lets its bearer do, for revoking it. @throws bad-join-line, bad-argument */
function inviteIn(text: string): { invite: string } {
  const { invite } = decodeJoinLine(text, sha256)
  if (invite === undefined) throw new MurmurError('bad-argument', 'The line holds no invite: name the peer that is to be revoked instead.')
  return { invite: Buffer.from(invite).toString('base64url') }
}
