// Making a peer a member while no peer runs in the directory: signed, stored, and told to the others at the next start.
import { MurmurError } from '../../protocol/errors.ts'
import { encodeJoinLine } from '../../protocol/join-line.ts'
import type { Role } from '../../protocol/membership.ts'
import { openTask } from '../../protocol/task.ts'
import { localOptions, parseOptions } from '../options.ts'
import { sha256 as hash } from '../sha256.ts'
import { openDocuments } from '../store/documents.ts'
import { loadOrCreateIdentity } from '../store/identity.ts'
import { lockDirectory } from '../store/lock.ts'
import { createVerifier } from '../store/verify.ts'
import { systemClock } from './clock.ts'
import { readConfig, readTask } from './directory.ts'
import { lineAddresses } from './join-lines.ts'
import { createMemberBook } from './member-book.ts'
import { keyOf } from './methods.ts'
import { createSigning, founderOf } from './signing.ts'

/** @throws directory-invalid, directory-locked, not-allowed, bad-argument, disk-failed */
export async function admitOffline(
  dir: string,
  { peer, role, memberSeconds }: { peer: string; role: Role; memberSeconds: number | undefined },
): Promise<{ joinLine: string }> {
  const key = keyOf(peer)
  const envelope = await readTask(dir)
  if (envelope === undefined) throw new MurmurError('directory-invalid', `${dir} holds no network; name the directory of a peer.`)
  const unlock = await lockDirectory(dir)
  try {
    const verify = createVerifier()
    const task = openTask(envelope, { verify, hash })
    const { signer } = await loadOrCreateIdentity(dir)
    const book = await createMemberBook({ task, store: openDocuments(dir), verify, clock: systemClock })
    const signing = createSigning({ task, book, signer, founder: await founderOf(dir, task, signer), clock: systemClock })
    const membership = signing.membership(key, role, memberSeconds).envelope
    const taken = book.take({ kind: 'membership', envelope: membership })
    if (taken !== 'new' && taken !== 'known')
      throw new MurmurError('not-allowed', `The others would not take what this peer signs (${taken}).`)
    await book.flush()
    await book.close()
    const { values, file } = await readConfig(dir)
    const { announce = [], listen, bootstrap = [] } = parseOptions(localOptions, values, file)
    // What is listened on is no address to dial where it stands for all of them.
    const own = [...announce, ...listen.filter((address) => !/\/(0\.0\.0\.0|::)\/|\/tcp\/0$/.test(address))]
    const complete = own.map((address) => (address.includes('/p2p/') ? address : `${address}/p2p/${signer.peerId}`))
    const addresses = lineAddresses(complete, bootstrap)
    return { joinLine: addresses.length === 0 ? '' : encodeJoinLine({ task: task.hex, addresses, membership }, hash) }
  } finally {
    await unlock()
  }
}
