// The closed set of things that can go wrong, shared by every part of Murmuration.
// A code is also a metric label and the anchor of its entry in the error reference.

export const ERROR_CODES = {
  'bad-argument': 'a command-line argument or option has a value that cannot be used',
  'bad-config': 'murmur.yaml has a key or value that cannot be used',
  'bad-join-line': 'the join line or bootstrap address is incomplete or damaged',
  'bootstrap-unreachable': 'no bootstrap address answers',
  'port-in-use': 'the address to listen on is taken',
  'port-not-opened': 'the router was asked to open a port and has not',
  'data-missing': 'the data path does not exist or cannot be read',
  'data-invalid': 'the data does not fit the task',
  'directory-locked': 'another process runs a peer in this directory',
  'directory-invalid': 'the directory holds no peer, another task, or damaged files',
  'disk-failed': 'a file could not be written or read: disk full, read-only, no permission',
  'task-mismatch': 'what was fetched does not have the hash that was promised',
  'task-invalid': 'the task manifest breaks a rule',
  'task-unsupported': 'the task asks for something that this version does not have',
  'model-invalid': 'the ONNX model cannot be read or trained',
  'operator-unsupported': 'the model uses an ONNX operator that cannot be trained here',
  'too-few-inputs': 'an aggregation rule was given fewer vectors than it needs to be safe',
  'training-diverged': 'training produced a non-finite loss or parameter',
  'worker-failed': 'a worker thread failed or stopped',
  'limit-exceeded': 'something a peer sent, or a file, is larger than its limit',
  'peer-unreachable': 'a peer did not answer',
  'peer-refused': 'a peer answered that it will not serve the request',
  'not-admitted': 'the network admits by invitation, and this peer has none that counts',
  'invite-spent': 'the invite was used up, has expired or was revoked',
  'not-allowed': "this peer may not do that: it is no admin, or the founder's key is not here",
  'identity-twin': 'another process runs with the same identity',
  'not-running': 'no peer runs in this directory',
  cancelled: 'the work was stopped on request',
  internal: 'a defect in Murmuration itself',
} as const

export type ErrorCode = keyof typeof ERROR_CODES

/** Characters of a message: names and lists in a stranger's file can be megabytes. */
const MESSAGE_LENGTH = 2000

/** Text that may hold a stranger's words, as a short line that a terminal shows and does not obey. */
function oneLine(text: string): string {
  const half = MESSAGE_LENGTH / 2
  const short = text.length <= MESSAGE_LENGTH ? text : `${text.slice(0, half)} ... ${text.slice(-half)}`
  return short.replace(/\p{C}+/gu, ' ')
}

/** An error a person may read: `message` is one sentence that says what happened, with the value, and what to do. */
export class MurmurError extends Error {
  override readonly name = 'MurmurError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(oneLine(message), options)
    this.code = code
  }
}

/** True where `error` is a MurmurError, of `code` if one is given. */
export function isMurmurError(error: unknown, code?: ErrorCode): error is MurmurError {
  return error instanceof MurmurError && (code === undefined || error.code === code)
}

/** What was thrown, for a person. */
export const asMurmurError = (thrown: unknown): MurmurError =>
  isMurmurError(thrown) ? thrown : new MurmurError('internal', `Unexpected failure: ${String(thrown)}.`, { cause: thrown })
