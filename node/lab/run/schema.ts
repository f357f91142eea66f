// What a run of the lab can be asked for: one schema for the flags, for a sweep's file and for programs.
import { z } from 'zod'
import { RULE_HELP } from '../../../protocol/aggregation/help.ts'
import { LIMITS } from '../../../protocol/limits.ts'

const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most)
const share = z.coerce.number().min(0).lt(1)
const positive = z.coerce.number().positive()

/** Most virtual peers: what a network may have of members. */
const MOST_PEERS = LIMITS.members
/** Virtual milliseconds: with three times as many there and back, a request would be given up. */
const MOST_DELAY = 2000

export const PARTITION_HELP =
  'how the data is dealt to the honest: iid, dirichlet:ALPHA, shards:K (labels sorted, K pieces each), quantity:ALPHA, similarity:SHARE (that share iid, the rest by label), natural:COLUMN'
export const TOPOLOGY_HELP =
  'who pulls from whom: full, ring, torus, regular:K (K neighbours each), random:K (K on average), dumbbell (two cliques, one bridge), or a file of edges such as "0 1"'

export const labOptions = z.strictObject({
  peers: whole(2, MOST_PEERS).default(10).meta({ description: 'virtual peers, attackers included', value: 'N' }),
  byzantine: whole(0, MOST_PEERS)
    .default(0)
    .meta({ description: 'how many of them attack, the last ones; what the rule is to withstand', value: 'B' }),
  attack: z.string().min(1).default('none').meta({ description: 'what they do, see below; none: all are honest', value: 'ATTACK' }),
  rule: z
    .string()
    .min(1)
    .default('nnm | trimmed-mean')
    .meta({ description: `${RULE_HELP}; or one for the lab alone`, value: 'RULE' }),
  f: whole(0, MOST_PEERS)
    .optional()
    .meta({ description: 'attackers that the rule is told of (default: what a network derives from B of N)', value: 'F' }),
  topology: z.string().min(1).default('full').meta({ description: TOPOLOGY_HELP, value: 'GRAPH' }),
  fanout: whole(1, MOST_PEERS)
    .optional()
    .meta({ description: `peers pulled from each round, drawn anew (default: all up to ${LIMITS.fullView})`, value: 'S' }),
  partition: z.string().min(1).default('dirichlet:0.5').meta({ description: PARTITION_HELP, value: 'CUT' }),
  drop: share.default(0).meta({ description: 'share of gossip messages that are lost', value: 'SHARE' }),
  churn: share.default(0).meta({ description: 'share of honest peers that stop each round and come back in the next', value: 'SHARE' }),
  delay: z.coerce
    .number()
    .min(0)
    .max(MOST_DELAY)
    .default(0)
    .meta({ description: 'virtual milliseconds that a message takes, give or take half', value: 'MS' }),
  model: z.string().min(1).default('mnist-mlp').meta({ description: 'a built-in model, or a path to an .onnx file', value: 'MODEL' }),
  loss: z
    .enum(['cross-entropy', 'bce'])
    .optional()
    .meta({ description: 'what is made small (default: cross-entropy, or what a built-in model is for)', value: 'LOSS' }),
  data: z
    .string()
    .min(1)
    .default('mnist')
    .meta({ description: '"mnist", or a file or directory; without a test set a sixth is kept for one', value: 'DATA' }),
  label: z.string().min(1).optional().meta({ description: 'the column or array to predict (default: as for murmur start)', value: 'NAME' }),
  rounds: whole(1, 100_000).default(10).meta({ description: 'rounds', value: 'N' }),
  steps: whole(1, 1_000_000).default(50).meta({ description: 'training steps a round', value: 'N' }),
  batchSize: whole(1, 65_536).default(32).meta({ description: 'samples a training step', value: 'N' }),
  lr: positive.max(1000).default(0.05).meta({ description: 'learning rate', value: 'RATE' }),
  momentum: share.default(0.9).meta({ description: 'momentum; it stays at the peer', value: 'SHARE' }),
  codec: z
    .enum(['float32', 'float16', 'int8'])
    .optional()
    .meta({ description: "how models travel (default: a network's)", value: 'CODEC' }),
  seed: z.coerce.number().int().min(0).default(1).meta({ description: 'seeds everything that is drawn', value: 'N' }),
})
