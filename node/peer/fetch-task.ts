// Joining a network: from a join line or address to the task, its model and its weights, each checked against its hash.
import { setTimeout } from 'node:timers/promises'
import type { Verify } from '../../protocol/envelope.ts'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { type PeerId, shortId } from '../../protocol/identity.ts'
import { decodeTaskResponse, encodeTaskRequest, type Proof, REFUSALS, refusalIn, TASK_PROTOCOL } from '../../protocol/join.ts'
import type { Hash } from '../../protocol/payload.ts'
import { openTask, type Task } from '../../protocol/task.ts'
import type { Network } from '../ports.ts'
import { notAdmitted } from './become-member.ts'
import type { JoinTarget } from './join-target.ts'

/** How long connected peers are asked for the task, in turn: one that has just started may not know it yet. */
const ASK_MILLIS = 30_000
const ASK_AGAIN_MILLIS = 1000

/**
 * Asks the peers reached so far, in turn, for the task that the target names.
 * @throws task-mismatch, task-invalid, task-unsupported, not-admitted, invite-spent at once; peer-unreachable after a while
 */
export async function fetchTask(
  target: JoinTarget,
  proof: Proof,
  reached: readonly PeerId[],
  parts: { network: Network; verify: Verify; hash: Hash; signal: AbortSignal; onProgress: (text: string) => void },
): Promise<Task> {
  const { network, verify, hash, signal, onProgress } = parts
  /** Those who refuse for good, or lie. */
  const useless = new Set<PeerId>()
  for (let asked = 0; ; asked++) {
    const peer = reached[asked % reached.length] ?? ''
    try {
      const bytes = decodeTaskResponse(await network.request(peer, TASK_PROTOCOL, encodeTaskRequest(proof), { signal }))
      if (bytes === 'malformed') throw nonsense(peer)
      return openTask(bytes, { verify, hash, ...(target.task !== undefined && { expected: target.task }) })
    } catch (cause) {
      if (!isMurmurError(cause) || cause.code === 'cancelled') throw cause
      const refusal = cause.code === 'peer-refused' ? refusalIn(cause.message) : undefined
      if (refusal !== undefined ? REFUSALS[refusal].final : cause.code !== 'peer-unreachable' && cause.code !== 'peer-refused') {
        // A line that names the task by its hash needs one honest peer among those it names.
        useless.add(peer)
        if (target.task === undefined || reached.every((each) => useless.has(each)))
          throw refusal === undefined ? cause : notAdmitted(cause.message, network.self)
      }
      if (asked * ASK_AGAIN_MILLIS >= ASK_MILLIS) {
        throw new MurmurError(
          'peer-unreachable',
          `The peer …${shortId(peer)} does not tell its task (${cause.message}); is it a Murmuration peer?`,
          { cause },
        )
      }
      if (asked % 4 === 0) onProgress(`The peer …${shortId(peer)} is not ready to tell its task; asking again ...`)
    }
    await setTimeout(ASK_AGAIN_MILLIS, undefined, { signal })
  }
}

const nonsense = (peer: PeerId): MurmurError =>
  new MurmurError('task-invalid', `The peer …${shortId(peer)} answered with something that is not a task; ask for a new join line.`)
