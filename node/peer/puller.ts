// Others' payloads: those that came beside their records, and those pulled; one at a time of each author, and through the gate.
import { isMurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { RejectionCode } from '../../protocol/rejections.ts'
import { hexOf } from '../../protocol/task.ts'
import type { Update } from '../../protocol/update.ts'
import type { PeerEvent } from '../events.ts'
import type { PeerParts } from './parts.ts'

/** Why a pull was given up: its author has announced a newer update. */
const SUPERSEDED = Symbol('superseded')

export interface Puller {
  /**
   * Holds the payload of `update` in the store; true where it passed the gate, undefined where nobody waits for it any more.
   * @throws disk-failed: a full disk is this peer's own, and nothing that its author could help
   */
  pull(update: Update): Promise<boolean | undefined>
  /** Ends the pulls of these authors. */
  abort(authors: readonly PeerId[]): void
  /** A payload that came beside its record, already checked against it. */
  holdInline(update: Update, payload: Uint8Array): void
  /** Forgets payloads beside records that are not in `keep`, or the one of `update`. */
  dropInline(which: Update | ReadonlySet<string>): void
}

export function createPuller(parts: PeerParts, emit: (event: PeerEvent) => void, stopping: AbortSignal): Puller {
  const { task, network, store, exchange, aggregator } = parts
  const { codec, limits } = task.manifest
  const inlined = new Map<string, Uint8Array>()
  const pulling = new Map<PeerId, AbortController>()

  /** Why it does not pass the gate, undefined where it does. */
  async function check(update: Update, signal: AbortSignal, from: Set<PeerId>): Promise<RejectionCode | undefined> {
    const key = hexOf(update.payload.hash)
    const inline = inlined.get(key)
    if (inline !== undefined) await store.putObject(key, inline)
    inlined.delete(key)
    const rules = { codec, length: task.exchanged, maxAbs: limits.maxAbs }
    const others = () => network.peers().filter((peer) => peer !== update.author)
    let isHere = false
    try {
      return await exchange.lend(
        update.payload,
        () => [update.author, ...others()],
        (payload) => {
          isHere = true
          return aggregator.check(payload, rules)
        },
        { signal, onProgress: (_, source) => from.add(source) },
      )
    } catch (error) {
      // A full disk is this peer's own, and nothing that the author could help; nor is what fails in the gate.
      if (isHere || isMurmurError(error, 'disk-failed')) throw error
      return 'unavailable'
    }
  }

  return {
    async pull(update) {
      const { author, round } = update
      // The pull of an older record ends, however slowly it is answered: its payload did not come in time.
      pulling.get(author)?.abort(SUPERSEDED)
      const controller = new AbortController()
      pulling.set(author, controller)
      const signal = AbortSignal.any([controller.signal, stopping])
      try {
        const from = new Set<PeerId>()
        const code = await check(update, signal, from)
        if (signal.aborted) {
          if (signal.reason === SUPERSEDED) emit({ type: 'rejected', code: 'unavailable', author, round })
          return undefined
        }
        if (code === undefined) emit({ type: 'received', round, author, bytes: update.payload.length, from: [...from] })
        else emit({ type: 'rejected', code, author, round })
        return code === undefined
      } finally {
        if (pulling.get(author) === controller) pulling.delete(author)
      }
    },
    abort(authors) {
      for (const author of authors) pulling.get(author)?.abort()
    },
    holdInline(update, payload) {
      if (inlined.size < 2 * LIMITS.members) inlined.set(hexOf(update.payload.hash), payload)
    },
    dropInline(which) {
      if ('payload' in which) inlined.delete(hexOf(which.payload.hash))
      else for (const key of inlined.keys()) if (!which.has(key)) inlined.delete(key)
    },
  }
}
