// `murmur demo` (and `npm start`): a network with an attacker, run with the robust rule and then without, and what that did.
import { copyFile, mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseRule } from '../../protocol/aggregation/index.ts'
import { isMurmurError, MurmurError } from '../../protocol/errors.ts'
import { promise } from '../../protocol/sampling.ts'
import { median } from '../../protocol/statistics.ts'
import { ATTACKS, parseAttack } from '../lab/attacks.ts'
import { type DemoOptions, demoOptions } from './demo-flags.ts'
import { type NetworkPlan, type NetworkResult, runNetwork } from './demo-network.ts'
import { createView } from './demo-view.ts'
import { mean, megabytes, percent, seconds } from './format.ts'
import { INTERRUPTED } from './interruptible.ts'

/** Validation accuracy at which the network stops: its median over peers sits a little above the test accuracy. */
const TARGET = 0.985
/** Rounds of the undefended run: by then the defended one is past 97 %, and the damage is plain. */
const UNDEFENDED_ROUNDS = 3
const BASIS = 10_000

export async function demo(given: Record<string, unknown>): Promise<void> {
  const parsed = demoOptions.safeParse(given)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    throw new MurmurError(
      'bad-argument',
      `--${String(issue.path[0])} cannot be ${JSON.stringify(given[String(issue.path[0])])}: ${issue.message}.`,
    )
  }
  const chosen = parsed.data
  const attack = parseAttack(chosen.attack)
  const rule = parseRule(chosen.rule).text
  const byzantineShare = shareFor(chosen)
  const out = process.stdout
  const began = performance.now()
  const stopping = new AbortController()
  const interrupt = () => stopping.abort()
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)

  const root = resolve('murmur-demo', new Date().toISOString().replace(/[:.]/g, '-'))
  const run = async (
    title: string,
    change: Partial<NetworkPlan> & { dir: string; rule: string; rounds: number },
  ): Promise<NetworkResult> => {
    const { peers, attackers, alpha, seed } = chosen
    const view = createView(out, title)
    try {
      await mkdir(change.dir, { recursive: true })
      return await runNetwork(
        { peers, attackers, attack: attack.text, alpha, seed, byzantineShare, scheduleRounds: chosen.rounds, ...change },
        view,
        stopping.signal,
      )
    } finally {
      view.end()
    }
  }
  try {
    const honest = chosen.peers - chosen.attackers
    out.write(
      `${chosen.peers} peers on this machine train a CNN on MNIST: ${honest} honest, ${chosen.attackers} malicious (${attack.text}: ${ATTACKS[attack.name]!.description}).\n`,
    )
    out.write(`${promise(chosen.peers, Math.round(byzantineShare * BASIS)).sentence}\n`)
    const defended = await run(`Defended by ${rule}`, { dir: join(root, 'defended'), rule, rounds: chosen.rounds, targetAccuracy: TARGET })
    const model = join(root, 'model.onnx')
    await copyFile(defended.peers[0]!.last.finished!.model!, model)
    const undefended = await run('The same network without defence (mean)', {
      dir: join(root, 'undefended'),
      rule: 'mean',
      rounds: Math.min(UNDEFENDED_ROUNDS, chosen.rounds),
    })
    report(chosen, attack.text, rule, defended, undefended, model, (performance.now() - began) / 1000)
  } catch (error) {
    if (!isMurmurError(error, 'cancelled')) throw error
    process.exitCode = INTERRUPTED
    out.write(
      `Stopped. The peers' directories are under ${root}; go on with one of them: npx murmur start ${join(root, 'defended', 'peer-1')}\n`,
    )
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}

/** The smallest share that lets the task assume this many attackers; at least one is always assumed. */
function shareFor({ peers, attackers }: DemoOptions): number {
  const assumed = Math.max(1, attackers)
  if (peers <= 2 * assumed) {
    throw new MurmurError(
      'bad-argument',
      `${peers} peers cannot withstand ${assumed} attackers: more than ${2 * assumed} are needed. Raise --peers or lower --attackers.`,
    )
  }
  return Math.ceil((assumed * BASIS) / peers) / BASIS
}

function report(
  chosen: DemoOptions,
  attack: string,
  rule: string,
  defended: NetworkResult,
  undefended: NetworkResult,
  model: string,
  totalSeconds: number,
): void {
  const honest = defended.peers.filter((peer) => !peer.attacker)
  const accuracies = honest.map((peer) => peer.testAccuracy ?? 0)
  const influences = honest.flatMap((peer) => peer.influences)
  const summary = {
    accuracy: median(accuracies),
    worstAccuracy: Math.min(...accuracies),
    undefendedAccuracy: median(undefended.peers.filter((peer) => !peer.attacker).map((peer) => peer.testAccuracy ?? 0)),
    peers: chosen.peers,
    attackers: chosen.attackers,
    attack,
    rule,
    rounds: Math.max(...honest.map((peer) => peer.rounds)),
    seconds: Math.round(defended.seconds * 10) / 10,
    totalSeconds: Math.round(totalSeconds * 10) / 10,
    bytesPerPeer: Math.round(mean(honest.map((peer) => peer.received))),
    attackerInfluence: influences.length === 0 ? 0 : Math.round(median(influences) * 1e4) / 1e4,
    model,
  }
  if (chosen.json) {
    console.log(JSON.stringify(summary))
    return
  }
  console.log(`
Test set, read once, ${honest.length} honest peers, each with its own final model:
  defended by ${rule}: ${percent(summary.accuracy)} (median), ${percent(summary.worstAccuracy)} (worst), after ${summary.rounds} rounds and ${seconds(summary.seconds)}
  without defence (mean, ${Math.max(...undefended.peers.map((peer) => peer.rounds))} rounds): ${percent(summary.undefendedAccuracy)}
  the attacker moved a round's result by ${percent(summary.attackerInfluence)} of an honest step (median)
  ${megabytes(summary.bytesPerPeer)} received per honest peer; peak memory ${megabytes(Math.max(...honest.map((peer) => peer.peakRss)))}, event loop p99 ${Math.max(...honest.map((peer) => peer.loopP99))} ms
The model, for inference with onnxruntime anywhere: ${model}
${seconds(summary.totalSeconds)} in all.`)
}
