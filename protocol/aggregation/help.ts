// What a task's `rule` may be, for help texts, which are shown without loading the rules.
export const RULE_HELP =
  'aggregation rule: mean, trimmed-mean, median, geometric-median, krum, multi-krum, clipped-gossip, cs+ or nna; before it "nnm |", "clip(c) |" or "bucketing(s) |"'
