// The certificates in an answer to a join request, taken into the book. Whoever is asked may be a stranger who has nothing to lose.
import type { SignedRecord } from '../../protocol/signed.ts'
import { isCertificate } from './certificate-file.ts'
import type { MemberBook } from './member-book.ts'

/** Certificates of one answer that may be refused: two members differ about a few, and each costs a signature check. */
const REFUSED = 32

export function takeRoster(book: Pick<MemberBook, 'take'>, roster: readonly SignedRecord[]): void {
  let refused = 0
  for (const record of roster) {
    if (!isCertificate(record)) continue
    const taken = book.take(record)
    // The state exchange brings what an honest member had after these.
    if (taken !== 'new' && taken !== 'known' && ++refused >= REFUSED) return
  }
}
