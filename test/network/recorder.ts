// What a subscriber sees, kept and waited for: tests wait for events with a deadline, never for time to pass.
import type { Network, Verdict } from '../../node/ports.ts'

/** Only what never comes takes as long: many processes may share the machine. */
const DEADLINE_MILLIS = 60_000

/** Rejects where `work` takes too long; also keeps the process alive until then. */
export function within<T>(what: string, work: Promise<T>, millis = DEADLINE_MILLIS): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: not within ${millis} ms`)), millis)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** Waits until `look` holds; it is asked again each time `changed` is called. */
export interface Watch {
  changed(): void
  until(what: string, look: () => boolean): Promise<void>
}

export function createWatch(): Watch {
  const looking = new Set<() => void>()
  return {
    changed: () => {
      for (const look of [...looking]) look()
    },
    until(what, look) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const check = () => {
        if (!look()) return
        looking.delete(check)
        resolve()
      }
      looking.add(check)
      check()
      return within(what, promise)
    },
  }
}

/** Looks again and again: addresses, connections and threads change without an event. */
export async function eventually(what: string, look: () => boolean): Promise<void> {
  const { changed, until } = createWatch()
  const timer = setInterval(changed, 50)
  await until(what, look).finally(() => clearInterval(timer))
}

export interface Recorder {
  network: Network
  /** Messages as text, in the order they came, and who handed them over. */
  messages: string[]
  from: string[]
  /** Peers that were told to have come (`+`) and gone (`-`). */
  peerEvents: string[]
  until: Watch['until']
  message(text: string): Promise<void>
  peer(peer: string): Promise<void>
  gone(peer: string): Promise<void>
}

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
export const bytes = (message: string): Uint8Array => new TextEncoder().encode(message)

/** Subscribes; the id of a message is its first word, so that messages that differ can share one. */
export async function record(
  network: Network,
  topic: string,
  judge: (message: string) => Verdict | Promise<Verdict> = () => 'accept',
): Promise<Recorder> {
  const { changed, until } = createWatch()
  const recorder: Recorder = {
    network,
    messages: [],
    from: [],
    peerEvents: [],
    until,
    message: (wanted) => until(`message "${wanted}"`, () => recorder.messages.includes(wanted)),
    peer: (peer) => until(`peer ${peer}`, () => network.peers().includes(peer) && recorder.peerEvents.includes(`+${peer}`)),
    gone: (peer) => until(`${peer} gone`, () => !network.peers().includes(peer) && recorder.peerEvents.includes(`-${peer}`)),
  }
  await network.subscribe(topic, {
    validate(message, from) {
      recorder.messages.push(text(message))
      recorder.from.push(from)
      changed()
      return judge(text(message))
    },
    messageId: (message) => bytes(text(message).split(' ')[0] ?? ''),
    onPeer(peer) {
      recorder.peerEvents.push(`+${peer}`)
      changed()
    },
    onPeerGone(peer) {
      recorder.peerEvents.push(`-${peer}`)
      changed()
    },
  })
  return recorder
}
