// Joining a network: from a join line or address to the task, its model and its weights, each checked against its hash.
import { setTimeout } from 'node:timers/promises'
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

/** How long connected peers are asked for the task, in turn: one that has just started may not know it yet. */
const ASK_MILLIS = 30_000
const ASK_AGAIN_MILLIS = 1000

/**
 * Asks the peers reached so far, in turn, for the task that the target names.
 * @throws task-mismatch, task-invalid, task-unsupported at once; peer-unreachable after a while
 */
export async function fetchTask(
  target: JoinTarget,
  reached: readonly PeerId[],
  parts: { network: Network; verify: Verify; hash: Hash; signal: AbortSignal; onProgress: (text: string) => void },
): Promise<Task> {
  const { network, verify, hash, signal, onProgress } = parts
  const liars = new Map<PeerId, unknown>()
  for (let asked = 0; ; asked++) {
    const peer = reached[asked % reached.length] ?? ''
    try {
      const bytes = await network.request(peer, TASK_PROTOCOL, new Uint8Array(), { signal })
      return openTask(manifestIn(bytes, peer), { verify, hash, ...(target.task !== undefined && { expected: target.task }) })
    } catch (cause) {
      if (!isMurmurError(cause, 'peer-unreachable') && !isMurmurError(cause, 'peer-refused')) {
        // A line that names the task by its hash needs one honest peer among those it names.
        liars.set(peer, cause)
        if (target.task === undefined || !isMurmurError(cause) || cause.code === 'cancelled' || reached.every((each) => liars.has(each)))
          throw cause
      }
      if (asked * ASK_AGAIN_MILLIS >= ASK_MILLIS) {
        throw new MurmurError(
          'peer-unreachable',
          `The peer …${peer.slice(-8)} does not tell its task (${cause.message}); is it a Murmuration peer?`,
          { cause },
        )
      }
      if (asked % 4 === 0) onProgress(`The peer …${peer.slice(-8)} is not ready to tell its task; asking again ...`)
    }
    await setTimeout(ASK_AGAIN_MILLIS, undefined, { signal })
  }
}

function manifestIn(bytes: Uint8Array, peer: PeerId): Uint8Array {
  try {
    return fromBinary(TaskResponseSchema, bytes).manifest
  } catch (cause) {
    throw new MurmurError(
      'task-invalid',
      `The peer …${peer.slice(-8)} answered with something that is not a task; ask for a new join line.`,
      { cause },
    )
  }
}
