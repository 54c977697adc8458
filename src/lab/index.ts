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
export { createNetwork, type LabHost, type LabNetwork } from './network.js'
export { runDemoAnywhere } from './run-demo.js'
