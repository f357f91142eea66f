// The reason of a network failure in a few words for a person, out of the many shapes that errors come in.

const SYSTEM: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'no answer',
  ENOTFOUND: 'the name is unknown',
  EAI_AGAIN: 'the name cannot be looked up',
  EPIPE: 'connection closed',
}

const NAMED: Record<string, string> = {
  TimeoutError: 'no answer in time',
  AbortError: 'no answer in time',
  UnexpectedPeerError: 'another peer answers there',
  EncryptionFailedError: 'the other side closed the connection while greeting: it is full, stopping, or another peer',
  MuxerUnavailableError: 'the other side closed the connection while greeting',
  ConnectionDeniedError: 'the other side refuses the connection',
  NoValidAddressesError: 'no address is known that can be dialled',
  UnexpectedEOFError: 'the other side closed the connection',
  StreamResetError: 'the other side closed the connection',
  StreamAbortedError: 'the connection was closed',
  StreamClosedError: 'the connection was closed',
  ConnectionClosedError: 'the connection was closed',
}

const LONGEST = 200

/** Never longer than 200 characters, and on one line. */
export function whyOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return whyOf(error.errors[0])
  if (!(error instanceof Error)) return oneLine(String(error), LONGEST)
  const { code } = error as Error & { code?: unknown }
  const system = typeof code === 'string' ? SYSTEM[code] : undefined
  if (system !== undefined) return system
  // The upgrader wraps what went wrong and keeps only the message.
  if (/does not match expected remote identity|Payload identity key|Unexpected peer/i.test(error.message)) return NAMED.UnexpectedPeerError!
  return NAMED[error.name] ?? oneLine(error.message, LONGEST)
}

/** Text from elsewhere, safe to show: control characters would let a remote peer write to the terminal. */
export function oneLine(text: string, longest: number): string {
  return text
    .replace(/\p{C}+/gu, ' ')
    .trim()
    .slice(0, longest)
}

/** What was thrown, for those who take only errors. */
export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)))
