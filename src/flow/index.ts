/** Connections: the table of flows, what a packet is to it, and decisions that are remembered with a flow. */
export { type DecidedFlow, type DecidedFlows, type FlowDecision, openDecided } from './decided.js'
export {
  type Flows,
  type FlowsOptions,
  type FlowsOwner,
  type FlowsStatistics,
  flowsStatistics,
  openFlows,
} from './flows.js'
export * from './formats.js'
export * from './fragment-formats.js'
export { type FragmentsOptions, fragmentsBytes, WAITING_FRAGMENTS } from './fragments.js'
export { type FlowKey, type NumberedFlow, numberedFlows, type TrackedFlow } from './list.js'
export type { NatRule, PortRange } from './nat.js'
export { arrived, owner } from './owner.js'
export { type RememberOptions, remember } from './remember.js'
export { type FlowState, TIMEOUTS_SECONDS, type Timeouts } from './settings.js'
export { type TrackOptions, track } from './track.js'
export { restore, type TranslateOptions, translate } from './translate.js'
