// Memberships and revocations as a peer's file "members" holds them: signed records one after the other, each after its length.
import { MurmurError } from '../../protocol/errors.ts'
import { decodeSigned, encodeSigned, type SignedRecord } from '../../protocol/signed.ts'

/** A signed membership or revocation, unopened. */
export interface Certificate {
  kind: 'membership' | 'revocation'
  envelope: Uint8Array
}

export const isCertificate = (record: SignedRecord | undefined): record is Certificate =>
  record?.kind === 'membership' || record?.kind === 'revocation'

/** Bytes of a length, big-endian. */
const LENGTH_BYTES = 4

export function encodeCertificates(records: readonly Certificate[]): Uint8Array {
  return Buffer.concat(
    records.flatMap((record) => {
      const bytes = encodeSigned(record)
      const length = Buffer.alloc(LENGTH_BYTES)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}

/** @throws directory-invalid */
export function decodeCertificates(bytes: Uint8Array): Certificate[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const records: Certificate[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + LENGTH_BYTES + (at + LENGTH_BYTES <= bytes.length ? view.getUint32(at) : 0)
    const record = end <= bytes.length ? decodeSigned(bytes.subarray(at + LENGTH_BYTES, end)) : undefined
    if (!isCertificate(record)) {
      throw new MurmurError(
        'directory-invalid',
        `The file "members" is damaged at byte ${at}; restore it from a backup, or remove it: the other members then tell this peer again who is one.`,
      )
    }
    records.push(record)
    at = end
  }
  return records
}
