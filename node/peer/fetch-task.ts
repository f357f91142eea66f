// Joining a network: from a join line or address to the task, its model and its weights, each checked against its hash.
import { fromBinary } from '@bufbuild/protobuf'
import type { Verify } from '../../protocol/envelope.ts'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { decodeJoinLine, isJoinLine } from '../../protocol/join-line.ts'
import type { Hash } from '../../protocol/payload.ts'
import { openTask, type Task } from '../../protocol/task.ts'
import { TaskResponseSchema } from '../../protocol/wire_pb.ts'
import type { Network } from '../ports.ts'
import { TASK_PROTOCOL } from './inbox.ts'

/** Where to join: addresses to dial and, from a join line, the task's id in hex. */
export interface JoinTarget {
  addresses: string[]
  task?: string
}

/** Reads what a person pasted: a join line, or one multiaddr. @throws bad-join-line */
export function parseJoinTarget(text: string, hash: Hash): JoinTarget {
  const given = text.trim()
  if (isJoinLine(given) || given.includes('murmur1-')) {
    // People paste the whole command that was printed.
    return decodeJoinLine(given.split(/\s+/).find((word) => word.startsWith('murmur1-')) ?? given, hash)
  }
  if (given.startsWith('/')) return { addresses: [given] }
  throw new MurmurError(
    'bad-join-line',
    `"${given.slice(0, 60)}" is neither a join line (murmur1-…) nor a multiaddr (/ip4/…/tcp/…/p2p/…); paste the line that \`murmur start\` printed.`,
  )
}

/** Asks the connected peers, first come first served, for the task that the target names. */
export async function fetchTask(
  target: JoinTarget,
  peer: PeerId,
  parts: { network: Network; verify: Verify; hash: Hash; signal: AbortSignal },
): Promise<Task> {
  let bytes: Uint8Array
  try {
    bytes = await parts.network.request(peer, TASK_PROTOCOL, new Uint8Array(), { signal: parts.signal })
  } catch (cause) {
    if (!isMurmurError(cause)) throw cause
    throw new MurmurError(
      'peer-unreachable',
      `The peer …${peer.slice(-8)} does not tell its task (${cause.message}); is it a Murmuration peer?`,
      { cause },
    )
  }
  let envelope: Uint8Array
  try {
    envelope = fromBinary(TaskResponseSchema, bytes).manifest
  } catch (cause) {
    throw new MurmurError(
      'task-invalid',
      `The peer …${peer.slice(-8)} answered with something that is not a task; ask for a new join line.`,
      { cause },
    )
  }
  return openTask(envelope, { verify: parts.verify, hash: parts.hash, ...(target.task !== undefined && { expected: target.task }) })
}
