// All experiments, in the order of the document.
import { averaging } from './averaging.ts'
import { byzfl } from './byzfl.ts'
import { clippedGossip } from './clipped-gossip.ts'
import type { Experiment } from './experiment.ts'
import { niidBench } from './niid-bench.ts'

export const EXPERIMENTS: readonly Experiment[] = [averaging, clippedGossip, byzfl, niidBench]
