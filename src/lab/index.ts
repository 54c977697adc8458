export type {
  CorePlan,
  DemoEvent,
  DemoOptions,
  DemoProgress,
  DemoResult,
  FloodFigures,
  Phase,
  PhaseName,
  ServiceFigures,
} from './demo-phase.js'
export { DEMO_RULE } from './demo-phase.js'
export type { FloodSpec } from './flood-frame.js'
export { type FloodReport, SLEEPING_RATE } from './flood-orders.js'
export { createNetwork, type LabHost, type LabNetwork } from './network.js'
export { runDemoAnywhere } from './run-demo.js'
export { type RunningFlood, startFlood } from './start-flood.js'
