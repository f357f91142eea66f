// The one union of everything a peer tells: the terminal table, --json lines, the audit trail, metrics and library users all read this.

import type { InputAudit } from '../protocol/aggregation/types.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import type { PeerId } from '../protocol/identity.ts'
import type { RejectionCode } from '../protocol/rejections.ts'
import type { Evaluation } from './ports.ts'

export type Phase = 'starting' | 'waiting' | 'training' | 'gathering' | 'syncing' | 'aggregating' | 'finished' | 'stopped'

export type PeerEvent =
  | {
      type: 'ready'
      peer: PeerId
      task: string
      name: string
      addresses: string[]
      joinLine: string
      dir: string
      round: number
      resumed: boolean
      /** The link to this peer's dashboard: whoever has it sees what this peer sees. */
      dashboard?: string
    }
  /** What the peer is doing now. `waitingFor` says for what or whom, `untilSeconds` how long at most. */
  | { type: 'phase'; round: number; phase: Phase; waitingFor?: string; untilSeconds?: number }
  | { type: 'peers'; connected: number; members: number }
  | { type: 'trained'; round: number; steps: number; samples: number; loss: number; seconds: number }
  | { type: 'published'; round: number; bytes: number; recipients: number; republished: boolean }
  /** A payload is here. `from` sent parts of it: nobody where it came beside its record, or was here before. */
  | { type: 'received'; round: number; author: PeerId; bytes: number; from: PeerId[] }
  /** A message, record or payload that was not taken, and why. */
  | { type: 'rejected'; code: RejectionCode; author?: PeerId; from?: PeerId; round?: number }
  | {
      type: 'aggregated'
      round: number
      rule: string
      f: number
      /** What the rule did with each input, the own one included; `accuracy` is what its author has told of the model that its round began with. */
      inputs: ({ author: PeerId; round: number; accuracy?: number } & InputAudit)[]
      /** Used; had less than half of an equal share; did not pass the gate. */
      accepted: number
      trimmed: number
      rejected: number
      influence?: number
      seconds: number
    }
  | { type: 'jumped'; from: number; to: number }
  /** After falling far behind, the state of others was looked at, and taken over or, where it does worse than the own one, not. `accuracy` is theirs, `accuracyBefore` the own one. */
  | { type: 'synced'; from: number; to: number; inputs: number; adopted: boolean; accuracy?: number; accuracyBefore?: number }
  /** Someone became, or is no longer, a member. */
  | { type: 'member'; peer: PeerId; member: boolean; role: 'peer' | 'admin'; why: 'admitted' | 'revoked' | 'expired' }
  /** Where others can reach this peer has changed. */
  | { type: 'addresses'; addresses: string[]; joinLine: string }
  | ({ type: 'evaluated'; round: number; split: 'validation' | 'test' } & Evaluation)
  | { type: 'equivocation'; author: PeerId; round: number }
  | { type: 'traffic'; received: number; sent: number }
  | { type: 'health'; rssBytes: number; eventLoopP99Millis: number }
  | { type: 'warning'; code: ErrorCode; message: string }
  | { type: 'finished'; round: number; reason: string; accuracy?: number; model?: string }
  | { type: 'stopped'; round: number; resume: string }
