// A sweep of the lab: a grid of options run in parallel, resumed where it stopped, and made into a table.
export { readGrid } from './grid.ts'
export { createPool } from './pool.ts'
export { type Progress, sweep } from './sweep.ts'
export { tableOf, valueAt } from './table.ts'
export { tableTexts } from './texts.ts'
export { type Cell, type Outcome, type Plan, type RunCell, VALUES } from './types.ts'
