// Server-sent events for the page: the state whole, then each change. Who comes back soon gets what it missed, who comes later the whole again.
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Change } from './state.ts'

/** Pages that watch at a time. */
export const MAX_WATCHERS = 16
/** Milliseconds in which changes are gathered into one message. */
const GATHER_MILLIS = 100
/** Bytes of messages that are kept for who comes back. */
const BACKLOG_BYTES = 2 * 1024 * 1024
/** Milliseconds for which they are kept once nobody watches any more. */
const BACKLOG_MILLIS = 60_000
/** Bytes that a page may leave unread: it is suspended, or too slow, and begins anew when it comes back. */
const MAX_UNREAD = 8 * 1024 * 1024
/** Between two comments on a silent stream, which tell that it is alive. */
const ALIVE_MILLIS = 15_000
/** What the page waits before it comes back. */
const RETRY_MILLIS = 1000

export interface Stream {
  /** Tells changes to whoever watches; costs nothing where nobody does. */
  tell(changes: readonly Change[]): void
  /** Whether changes are of use to anyone. */
  isWatched(): boolean
  /** Takes over a response; false where too many watch already. `lastId` is that of the last message that the page has. */
  watch(response: ServerResponse, lastId: string | undefined): boolean
  stop(): void
}

export function createStream(snapshot: () => unknown): Stream {
  const watchers = new Set<ServerResponse>()
  /** Messages are numbered within the life of this process alone. */
  const life = randomBytes(6).toString('hex')
  let number = 0
  /** Each change says all of what it changes: of several to one thing within a message, the last is enough. */
  const pending = new Map<unknown, Change>()
  let gathering: NodeJS.Timeout | undefined
  let backlog: { number: number; text: string }[] = []
  let bytes = 0
  let forgetting: NodeJS.Timeout | undefined
  let alive: NodeJS.Timeout | undefined

  const isKept = () => watchers.size > 0 || forgetting !== undefined

  function send(response: ServerResponse, text: string): void {
    response.write(text)
    if (response.writableLength > MAX_UNREAD) response.destroy()
  }

  function flush(): void {
    clearTimeout(gathering)
    gathering = undefined
    if (pending.size === 0) return
    number++
    const text = `id: ${life}-${number}\ndata: ${JSON.stringify([...pending.values()])}\n\n`
    pending.clear()
    backlog.push({ number, text })
    bytes += text.length
    while (bytes > BACKLOG_BYTES) bytes -= backlog.shift()?.text.length ?? bytes
    for (const response of watchers) send(response, text)
  }

  function forget(): void {
    clearTimeout(gathering)
    clearTimeout(forgetting)
    clearInterval(alive)
    gathering = forgetting = alive = undefined
    pending.clear()
    backlog = []
    bytes = 0
    // What is told from now on is in nobody's backlog.
    number++
  }

  /** What a page lacks that has all up to `lastId`; undefined where that is not known any more. */
  function missed(lastId: string | undefined): string | undefined {
    const [of, text = ''] = (lastId ?? '').split('-')
    const last = Number(text)
    if (of !== life || !/^\d+$/.test(text) || last > number) return undefined
    const left = backlog.filter((message) => message.number > last)
    return left.length === number - last ? left.map((message) => message.text).join('') : undefined
  }

  function leave(response: ServerResponse): void {
    if (!watchers.delete(response) || watchers.size > 0) return
    clearInterval(alive)
    alive = undefined
    forgetting = setTimeout(forget, BACKLOG_MILLIS).unref()
  }

  return {
    isWatched: isKept,
    tell(changes) {
      if (changes.length === 0 || !isKept()) return
      for (const change of changes) pending.set(subjectOf(change), change)
      gathering ??= setTimeout(flush, GATHER_MILLIS).unref()
    },
    watch(response, lastId) {
      if (watchers.size >= MAX_WATCHERS) return false
      // Changes that wait are in the state already.
      flush()
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      response.write(`retry: ${RETRY_MILLIS}\n\n`)
      response.write(missed(lastId) ?? `id: ${life}-${number}\nevent: snapshot\ndata: ${JSON.stringify(snapshot())}\n\n`)
      watchers.add(response)
      clearTimeout(forgetting)
      forgetting = undefined
      alive ??= setInterval(() => {
        for (const each of watchers) send(each, ': alive\n\n')
      }, ALIVE_MILLIS).unref()
      response.on('close', () => leave(response))
      return true
    },
    stop() {
      for (const response of watchers) response.end()
      watchers.clear()
      forget()
    },
  }
}

/** What a change replaces; a line of the log replaces nothing. */
function subjectOf(change: Change): unknown {
  if ('set' in change) return change.set
  if ('put' in change) return `${change.put} ${change.key}`
  return 'round' in change ? change.round[0] : change
}
